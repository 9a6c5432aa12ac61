// Package plugins names what Prometheus can find its targets by: here Kubernetes, and what it can by itself.
package plugins

import _ "github.com/prometheus/prometheus/discovery/kubernetes"
