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

{{/*
How the proxies find Redis, as JSON: {} without Redis, else {value} or {url: {name, key}}, and where it is set {password: {name, key}}, {ca: {name, key}} and
{username}. Fails where values contradict each other.
*/}}
{{- define "relay.redis" -}}
{{- $redis := .Values.redis -}}
{{- $secret := $redis.existingSecret -}}
{{- $fullname := include "relay.fullname" . -}}
{{- $found := dict -}}
{{- if and $redis.url $secret.urlKey }}{{ fail "choose one URL of Redis: redis.url and redis.existingSecret.urlKey are set" }}{{ end -}}
{{- if and $redis.url $secret.name (not $secret.passwordKey) -}}
{{- fail "choose one URL of Redis: redis.url and redis.existingSecret.name are set; for a password beside redis.url set redis.existingSecret.passwordKey" -}}
{{- end -}}
{{- if and (or $secret.urlKey $secret.passwordKey) (not $secret.name) }}{{ fail "redis.existingSecret needs its name" }}{{ end -}}
{{- if $redis.bundled.enabled -}}
{{- if or $redis.url $secret.name }}{{ fail (printf "choose one Redis: %s and redis.bundled.enabled are set" (ternary "redis.url" "redis.existingSecret.name" (ne $redis.url ""))) }}{{ end -}}
{{- $found = dict "value" (printf "redis://%s-redis:6379/0" $fullname) -}}
{{- else if $redis.url -}}
{{- $found = dict "url" (dict "name" (printf "%s-redis-url" $fullname) "key" "url") -}}
{{- else if $secret.name -}}
{{- $found = dict "url" (dict "name" $secret.name "key" (default "url" $secret.urlKey)) -}}
{{- end -}}
{{- if and (or $redis.username $redis.tls.caSecretName) (not $found.url) -}}
{{- fail "redis.username and redis.tls go with redis.url or redis.existingSecret: the bundled Redis has neither" -}}
{{- end -}}
{{- with $secret.passwordKey }}{{ $_ := set $found "password" (dict "name" $secret.name "key" .) }}{{ end -}}
{{- with $redis.tls.caSecretName }}{{ $_ := set $found "ca" (dict "name" . "key" $redis.tls.caKey) }}{{ end -}}
{{- with $redis.username }}{{ $_ := set $found "username" . }}{{ end -}}
{{- toJson $found -}}
{{- end -}}
