"""Turns a PolicyServer resource into what runs it: objects in a cluster, or processes on a laptop."""
