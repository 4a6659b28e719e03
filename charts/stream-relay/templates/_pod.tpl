{{/* Security of every pod: the restricted Pod Security Standard. The uid is that of the images. */}}
{{- define "relay.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Security of every container. */}}
{{- define "relay.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where a pod may run, and who pulls its image. Argument: list ROOT SETTINGS. */}}
{{- define "relay.placement" -}}
{{- $root := index . 0 -}}
{{- $settings := index . 1 -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where the URL of Redis stands: {} without Redis, else {value} or {secret: {name, key}}, as JSON. Fails when two ways are chosen. */}}
{{- define "relay.redis" -}}
{{- $redis := .Values.redis -}}
{{- $fullname := include "relay.fullname" . -}}
{{- $chosen := list -}}
{{- if $redis.url }}{{ $chosen = append $chosen "redis.url" }}{{ end -}}
{{- if $redis.existingSecret.name }}{{ $chosen = append $chosen "redis.existingSecret.name" }}{{ end -}}
{{- if $redis.bundled.enabled }}{{ $chosen = append $chosen "redis.bundled.enabled" }}{{ end -}}
{{- if gt (len $chosen) 1 -}}
{{- fail (printf "choose one Redis: %s are set" (join " and " $chosen)) -}}
{{- end -}}
{{- if $redis.url -}}
{{- dict "secret" (dict "name" (printf "%s-redis-url" $fullname) "key" "url") | toJson -}}
{{- else if $redis.existingSecret.name -}}
{{- dict "secret" (dict "name" $redis.existingSecret.name "key" $redis.existingSecret.key) | toJson -}}
{{- else if $redis.bundled.enabled -}}
{{- dict "value" (printf "redis://%s-redis:6379/0" $fullname) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}
