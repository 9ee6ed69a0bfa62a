{{- define "tidegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidegate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "tidegate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tidegate.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tidegate.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tidegate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidegate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* The settings file, with what only the chart knows. */}}
{{- define "tidegate.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $files := list "/etc/tidegate-rules/*.yaml" "/etc/tidegate-rules-extra/*/*.yaml" -}}
{{- $own := dict "data_dir" "/var/lib/tidegate" "web" (dict "listen" "0.0.0.0:9320") "rules" (dict "files" $files) -}}
{{- $jobs := dig "scrape" "jobs" list $config -}}
{{- if .Values.agent.enabled -}}
{{- $agents := dict "job_name" "tidegate-agent" "dns_sd_configs" (list (dict "names" (list (printf "%s-agent" (include "tidegate.fullname" .))) "type" "A" "port" 9320)) -}}
{{- $jobs = append $jobs $agents -}}
{{- end -}}
{{- $_ := set $own "scrape" (dict "jobs" $jobs) -}}
{{- toYaml (mergeOverwrite $config $own) -}}
{{- end -}}

{{/* What other pods can send lines to: each input of logs.receive that listens beyond loopback. */}}
{{- define "tidegate.receivePorts" -}}
{{- $ports := list -}}
{{- range $kind, $inputs := dig "logs" "receive" dict .Values.config -}}
{{- range $name, $input := $inputs -}}
{{- $listen := dig "listen" "" ($input | default dict) -}}
{{- if and $listen (not (regexMatch "^(127\\.|localhost:|\\[::1\\])" $listen)) -}}
{{- $protocol := ternary "UDP" "TCP" (eq (dig "protocol" "tcp" $input) "udp") -}}
{{- $port := dict "name" (printf "%s-%s" $kind $name | replace "_" "-" | trunc 63 | trimSuffix "-") "port" (regexFind "[0-9]+$" $listen | int) "protocol" $protocol -}}
{{- $ports = append $ports $port -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $ports -}}
{{- end -}}

{{/* Environment that points secrets of the settings at mounted files. */}}
{{- define "tidegate.env" -}}
- name: TIDEGATE_LOG_FORMAT
  value: json
{{- range $path, $ref := .root.Values.secretSettings }}
- name: TIDEGATE_{{ $path | upper | replace "." "__" }}_FILE
  value: /etc/tidegate-secrets/{{ $path }}/{{ $ref.key }}
{{- end }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tidegate.volumeMounts" -}}
- name: config
  mountPath: /etc/tidegate
  readOnly: true
- name: rules
  mountPath: /etc/tidegate-rules
  readOnly: true
{{- range .Values.extraRuleConfigMaps }}
- name: {{ printf "rules-%s" . | trunc 63 | trimSuffix "-" }}
  mountPath: /etc/tidegate-rules-extra/{{ . }}
  readOnly: true
{{- end }}
{{- range $path, $ref := .Values.secretSettings }}
- name: {{ include "tidegate.secretVolume" $path }}
  mountPath: /etc/tidegate-secrets/{{ $path }}
  readOnly: true
{{- end }}
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "tidegate.secretVolume" -}}
{{- printf "secret-%s" (. | replace "." "-" | replace "_" "-") | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidegate.volumes" -}}
- name: config
  configMap:
    name: {{ include "tidegate.fullname" . }}
- name: rules
  configMap:
    name: {{ include "tidegate.fullname" . }}-rules
{{- range .Values.extraRuleConfigMaps }}
- name: {{ printf "rules-%s" . | trunc 63 | trimSuffix "-" }}
  configMap:
    name: {{ . }}
{{- end }}
{{- range $path, $ref := .Values.secretSettings }}
- name: {{ include "tidegate.secretVolume" $path }}
  secret:
    secretName: {{ $ref.name }}
    items:
      - key: {{ $ref.key }}
        path: {{ $ref.key }}
{{- end }}
- name: tmp
  emptyDir: {}
{{- end -}}

{{/* Fails early, with a sentence that says what to do. */}}
{{- define "tidegate.validate" -}}
{{- if not (or .Values.server.enabled .Values.agent.enabled) -}}
{{- fail "nothing to install: set server.enabled or agent.enabled" -}}
{{- end -}}
{{- $outputs := list (dig "logs" "elasticsearch" "urls" list .Values.config) -}}
{{- range $output, $field := dict "logstash" "url" "otlp" "url" "cloudwatch" "group" "google" "project" "azure" "endpoint" "file" "path" -}}
{{- $outputs = append $outputs (dig "logs" $output $field "" $.Values.config) -}}
{{- end -}}
{{- if and .Values.agent.enabled (not (compact $outputs)) -}}
{{- fail "the agent needs somewhere to ship to: set config.logs.elasticsearch.urls or another output of logs, or agent.enabled=false" -}}
{{- end -}}
{{- range $key := list "data_dir" -}}
{{- if hasKey $.Values.config $key -}}
{{- fail (printf "config.%s is set by the chart: use server.persistence" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
