# Two commands do everything: `make run` and `make test`. Both install or build what they need and say what they do.

.DEFAULT_GOAL := help
.PHONY: help run stop test check unit crds charts fmt bench clean

help: ## Prints this.
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile | expand -t 16

run: ## Builds, starts a provider and the relay on 127.0.0.1, streams a demo request, stays up till Ctrl-C. DETACH=1 MANIFESTS=dir PORT= ADMIN_PORT= PROVIDER_PORT=
	@e2e/run

stop: ## Stops what `make run DETACH=1` started.
	@e2e/run --stop

test: ## All checks and tests, those on a real Kubernetes included. First time about half an hour, then minutes.
	@e2e/test

check: ## Format, lints and unit tests: no root, no cluster.
	@e2e/test --quick

crds: ## Writes the generated definitions, and the charts' copies of them.
	cargo run --quiet --package relay-crds -- --out crds/generated
	charts/sync-crds

bench: ## Measures what the relay costs next to nginx; prints ratios.
	@e2e/bench/run

clean: ## Removes builds and the state of `make run`; caches of the tests stay.
	cargo clean
	rm -rf .run
