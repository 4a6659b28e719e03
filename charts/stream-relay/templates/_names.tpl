{{/* The first part of the names of objects; 40 characters at most, so that <fullname>-operator-metrics is a DNS label. */}}
{{- define "relay.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the pods of a component. Argument: list ROOT COMPONENT. */}}
{{- define "relay.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The labels of every object but pods, which must not restart for a new chart version alone. Argument: list ROOT COMPONENT. */}}
{{- define "relay.labels" -}}
{{- $root := index . 0 -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* An image. Argument: list ROOT COMPONENT. */}}
{{- define "relay.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.image (index . 1) -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Names of cluster-wide objects hold the namespace, so that releases of one name in two namespaces do not meet. */}}
{{- define "relay.clusterName" -}}
{{ include "relay.fullname" . }}-operator-{{ .Release.Namespace }}
{{- end -}}

{{/* The names of the configuration objects, as JSON: fixed, since operator and proxies know them by name (relay_snapshot::shards). */}}
{{- define "relay.configMaps" -}}
{{- $names := list "relay-config" -}}
{{- range $shard := until 16 }}{{ $names = append $names (printf "relay-config-%d" $shard) }}{{ end -}}
{{- toJson $names -}}
{{- end -}}
{{- define "relay.secrets" -}}
{{- $names := list -}}
{{- range $shard := until 16 }}{{ $names = append $names (printf "relay-secrets-%d" $shard) }}{{ end -}}
{{- toJson $names -}}
{{- end -}}
