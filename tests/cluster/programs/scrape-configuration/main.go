// scrape-configuration prints what prometheus-operator tells a Prometheus to scrape.
//
// It reads YAML documents: the Prometheus, and the ServiceMonitors that it selects.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/assets"
	"github.com/prometheus-operator/prometheus-operator/pkg/prometheus"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	documents := yaml.NewYAMLOrJSONDecoder(os.Stdin, 4096)
	server := &monitoring.Prometheus{}
	require(documents.Decode(server))
	monitors := map[string]*monitoring.ServiceMonitor{}
	for {
		monitor := &monitoring.ServiceMonitor{}
		err := documents.Decode(monitor)
		if err == io.EOF {
			break
		}
		require(err)
		monitors[monitor.Namespace+"/"+monitor.Name] = monitor
	}
	generator, err := prometheus.NewConfigGenerator(nil, server)
	require(err)
	secrets := assets.NewTestStoreBuilder() // of which ours name none
	made, err := generator.GenerateServerConfiguration(server, monitors, nil, nil, nil, secrets, nil, nil, nil, nil)
	require(err)
	fmt.Print(string(made))
}

func require(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
