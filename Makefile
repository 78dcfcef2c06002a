# demo   see the gateway at work, with nothing else on the machine
# test   every test; installs the backends and clients that the black-box tests talk to
# resilience  the tests that take long: kills, stores that go away, keys that change; prints goals and figures
# bench  measure; fuzz: a minute for each target; fmt, lint: before a commit

CARGO ?= cargo

.PHONY: demo test resilience peers cases bench fmt lint fuzz

demo:
	$(CARGO) run -q -- demo

test: peers
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --lib --bins --tests; \
	else \
		$(CARGO) test --lib --bins --tests -- --test-threads=3; \
	fi
	$(CARGO) test --doc

# How many cases each test tried, by its own words: one after the other, so that each number stands behind its test.
cases: peers
	@$(CARGO) test --lib --test gateway -- --test-threads=1 --nocapture 2>/dev/null | grep -E 'cases: |FAILED|^test result'

resilience: peers
	tests/resilience.sh

peers:
	tests/peers/install.sh

bench:
	benches/run.sh

fmt:
	$(CARGO) fmt

lint:
	$(CARGO) clippy --all-targets -- -D warnings

fuzz:
	fuzz/run.sh 60
