"""The dashboards as code: `python -m manifests.dashboards.source FOLDER` writes them as JSON for Grafana."""
