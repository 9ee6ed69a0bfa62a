"""Active probes: one file for each prober; an answer is an exposition, so that a probed target is one like others."""
