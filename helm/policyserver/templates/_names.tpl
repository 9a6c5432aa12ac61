{{/*
The names are fixed: replicas elect their leader by a Lease of this name, so two operators in one namespace would be in
each other's way; and so would be two that both serve the whole cluster. Helm refuses the second.
*/}}
{{- define "policyserver.name" -}}
policyserver-operator
{{- end }}

{{- define "policyserver.selector" -}}
app.kubernetes.io/name: {{ include "policyserver.name" . }}
{{- end }}

{{/* Labels of every object. Those that change with the version are no selector's. */}}
{{- define "policyserver.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "policyserver.metadata" -}}
name: {{ include "policyserver.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "policyserver.selector" . | nindent 2 }}
  {{- include "policyserver.labels" . | nindent 2 }}
{{- end }}

{{/* The name of an image. Takes the context as `root`, and the image's values as `image`. */}}
{{- define "policyserver.image" -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}
{{- .image.repository }}
{{- with .image.digest }}@{{ . }}{{ else }}:{{ .image.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}
