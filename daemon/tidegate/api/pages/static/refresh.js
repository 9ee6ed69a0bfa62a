// Renews the page's sections in place. Without this script the browser reloads the whole page now and then.
"use strict";
(() => {
  const every = 10000;
  const busy = () =>
    document.hidden ||
    (document.activeElement && document.activeElement.matches("input, select, textarea")) ||
    String(document.getSelection()).length > 0;

  const renew = async () => {
    if (busy()) return;
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!response.ok) throw new Error(String(response.status));
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    if (busy()) return;
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML) continue;
      const open = new Set([...part.querySelectorAll("details[open]")].map((one) => one.dataset.key));
      part.innerHTML = next.innerHTML;
      part.className = next.className;
      for (const one of part.querySelectorAll("details")) if (open.has(one.dataset.key)) one.open = true;
    }
    document.title = fresh.title;
  };

  const offline = (is) => document.documentElement.classList.toggle("offline", is);
  setInterval(() => renew().then(() => offline(false), () => offline(true)), every);
})();
