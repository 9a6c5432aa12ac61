"""SDKs of one PolicyServer in several languages, made of its API's description; never where requests are served."""
