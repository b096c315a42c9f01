# actord: make help

MAKEFLAGS += --no-print-directory
export PATH := $(PATH):$(HOME)/.cargo/bin

TARGET := $(or $(CARGO_TARGET_DIR),target)
SAMPLE := $(TARGET)/sample
# `make deb ARCH=arm64`: for machines of another kind than this one. config/cross refuses any but that.
CROSS := $(if $(ARCH),$(filter-out $(shell dpkg --print-architecture),$(ARCH)))
FOR := $(if $(CROSS),config/cross $(CROSS))
BUILT := $(TARGET)$(if $(CROSS),/aarch64-unknown-linux-gnu)
RELEASE := $(BUILT)/shipped
OBJCOPY := $(if $(CROSS),aarch64-linux-gnu-)objcopy
ACTORD := $(TARGET)/debug/actord
TESTS ?=
# The earlier program: `make soak` hands its functions over to today's, `make bench` measures it beside today's if it is named.
ACTORD_BEFORE ?= $(abspath $(TARGET))/before/actord-$(or $(BEFORE),f0c23d5)
BENCH_BEFORE := $(if $(BEFORE),$(abspath $(TARGET))/before/released-$(BEFORE))

# What `make bench` is told by variables, as flags.
BENCH = $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short) $(if $(OUT),--out $(abspath $(OUT))) \
	$(if $(BEFORE),--before $(BENCH_BEFORE) --before-name $(BEFORE)) \
	$(if $(SETTINGS),--settings "$(SETTINGS)") $(if $(BEFORE_SETTINGS),--before-settings "$(BEFORE_SETTINGS)")

.PHONY: help run stop test screenshots soak audit bench bench-readme setup build release reproduce sbom sample install deb test-package test-arm64 ten-minutes clean

help: ## show this
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 21

run: setup build sample ## set up, start actord, deploy the sample function and call it (PORT=8080 SUBNET=10.62.0.0/16)
	@ACTORD=$(ACTORD) config/demo up

stop: ## end what `make run` started and remove its functions, network and all
	@ACTORD=$(ACTORD) config/demo down

# The recipe runs under `set -e`: no `&&` in here, a failure on its left would go unnoticed.
test: ## set up, then formatting, lints and all tests (TESTS="-E 'test(name)'" for some)
	@config/setup --test
	@started=$$(date +%s); set -e; \
	cargo fmt --check; \
	rustfmt --check --edition 2024 config/sample/hello.rs; \
	cargo clippy --locked --all-targets --quiet -- -D warnings; \
	config/run-tests $(TESTS); \
	echo "all good in $$(( $$(date +%s) - started )) s"

screenshots: ## write pictures of each page of the dashboard, light, dark and narrow: target/screenshots (OUT=DIR); some minutes
	@config/setup --test
	ACTORD_PICTURES=$(abspath $(or $(OUT),$(TARGET)/screenshots)) cargo test --locked --test browser pages -- --nocapture

soak: $(ACTORD_BEFORE) ## the long forms of the tests under fire, a while each (ROUNDS=100, SEED= of a kill storm, BEFORE=COMMIT)
	@config/setup --soak
	cargo build --locked --example upgrade-bad
	ACTORD_SOAK=1 ACTORD_BEFORE=$(ACTORD_BEFORE) SEED=$(SEED) ROUNDS=$(ROUNDS) MEMORY_SECONDS=$(MEMORY_SECONDS) \
		cargo test --locked --test soak --test power_cut --test upgrade_real -- --nocapture --test-threads 1 $(TESTS)
	ACTORD_SOAK=1 cargo test --locked --test soak -- --nocapture --test-threads 1 --ignored
	ACTORD_SOAK=1 SEED=$(SEED) FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --locked --test fuzz -- --nocapture
	ACTORD_SOAK=1 SEED=$(SEED) STREAM_SECONDS=$(STREAM_SECONDS) cargo test --locked --test http streams -- --nocapture
	ACTORD_TEST_RUNTIME=runc ACTORD_TEST_USER_NAMESPACES=1 cargo test --locked --test runtime_real

# The tests hold the crates to deny.toml as well; this also reads their licences' texts, and asks for known faults.
audit: ## have cargo-deny hold the crates to deny.toml, and look for known faults where the machine has a list of them
	@config/setup --audit
	$(TARGET)/tools/cargo-deny/bin/cargo-deny --locked check licenses bans sources
	@if [ -d "$${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs" ]; then \
		$(TARGET)/tools/cargo-deny/bin/cargo-deny --locked --offline check advisories; \
	else \
		echo "advisories: NOT LOOKED AT, there is no list of them below $${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs" \
			"(cargo deny fetch brings it)"; \
	fi

# The program of a commit: $(1) is the commit, $(2) cargo's flag for the profile, $(3) the profile's directory.
define before
@git worktree remove --force $(@D)/source 2>/dev/null || true
git worktree add --force --detach $(@D)/source $(1)
cargo build --locked $(2) --manifest-path $(@D)/source/Cargo.toml --target-dir $(@D)/target
cp $(@D)/target/$(3)/actord $@
git worktree remove --force $(@D)/source
endef

$(abspath $(TARGET))/before/actord-%: | setup
	$(call before,$*,,debug)

$(abspath $(TARGET))/before/released-%: | setup
	$(call before,$*,--release,release)

bench: $(BENCH_BEFORE) ## measure every goal of time or rate beside its floor: one table (ONLY=fleet SHORT=1 OUT=FILE BEFORE=COMMIT)
	@config/setup --bench
	config/reproducibly cargo bench --locked --bench table -- $(BENCH)

bench-readme: ## put the results of the last whole `make bench` into benches/README.md
	config/reproducibly cargo bench --locked --bench table -- --render

setup: ## install what building and running needs (Debian packages; as root)
	@config/setup

build: setup
	cargo build --locked

sample: build ## build the sample function and pack it: target/sample/hello-1.tar, hello-2.tar
	@mkdir -p $(SAMPLE)
	@[ $(SAMPLE)/hello -nt config/sample/hello.rs ] || config/sample/build $(SAMPLE)/hello
	@for version in 1 2; do \
		$(ACTORD) image pack --reference docker.io/actord/hello:$$version --file $(SAMPLE)/hello:/hello \
			--entrypoint /hello --env VERSION=$$version --port 8080/tcp --user 1000:1000 \
			--output $(SAMPLE)/hello-$$version.tar; \
	done

# The symbols go into a file of their own, which a backtrace finds beside the program or where debuggers look for it.
release: setup ## build the program for use, the file with its symbols and its bill of materials: target/shipped/
	ACTORD_COMMIT=$${ACTORD_COMMIT:-$$(git rev-parse HEAD 2>/dev/null)} \
		ACTORD_COMMIT_MESSAGE=$${ACTORD_COMMIT_MESSAGE:-$$(git log -1 --format=%s "$${ACTORD_COMMIT:-HEAD}" 2>/dev/null)} \
		$(FOR) config/reproducibly cargo build --locked --release
	@mkdir -p $(RELEASE)
	$(OBJCOPY) --only-keep-debug --compress-debug-sections=zlib $(BUILT)/release/actord $(RELEASE)/actord.debug
	$(OBJCOPY) --strip-all --add-gnu-debuglink=$(RELEASE)/actord.debug $(BUILT)/release/actord $(RELEASE)/actord
	@$(MAKE) sbom

sbom: ## write what the release build is made of (CycloneDX): target/shipped/actord.cdx.json
	@mkdir -p $(RELEASE)
	@[ -e $(RELEASE)/actord ] || echo "sbom: without the program's hash: make release builds it"
	$(FOR) config/sbom $(wildcard $(RELEASE)/actord) >$(RELEASE)/actord.cdx.json

reproduce: setup ## make the release build twice, in two places, and compare the bytes
	config/reproduce

install: release ## install the release build with its units, configuration, completion and manual (DESTDIR=)
	install -D -m 755 $(RELEASE)/actord $(DESTDIR)/usr/local/bin/actord
	install -D -m 644 $(RELEASE)/actord.debug $(DESTDIR)/usr/lib/debug/usr/local/bin/actord.debug
	install -D -m 644 $(RELEASE)/actord.cdx.json $(DESTDIR)/usr/local/share/actord/actord.cdx.json
	install -D -m 644 config/actord.service $(DESTDIR)/etc/systemd/system/actord.service
	install -D -m 644 config/actord.socket $(DESTDIR)/etc/systemd/system/actord.socket
	install -D -m 644 config/actord-upgrade.service $(DESTDIR)/etc/systemd/system/actord-upgrade.service
	$(RELEASE)/actord completion bash >$(RELEASE)/actord.bash
	install -D -m 644 $(RELEASE)/actord.bash $(DESTDIR)/usr/share/bash-completion/completions/actord
	$(RELEASE)/actord man $(DESTDIR)/usr/local/share/man
	[ -e $(DESTDIR)/etc/actord/actord.toml ] || install -D -m 644 config/actord.toml $(DESTDIR)/etc/actord/actord.toml
	@echo "start it: systemctl daemon-reload && systemctl enable --now actord.socket actord && systemctl enable actord-upgrade"

deb: release ## make the Debian package of the release build and have lintian judge it: target/debian/ (MAINTAINER="NAME <MAIL>" ARCH=arm64)
	@config/setup --package
	MAINTAINER="$(MAINTAINER)" $(FOR) config/package $(DEB_VERSION)

test-package: deb ## install, upgrade, remove and purge the package on a bare Debian with systemd, under load; then test-arm64 (ARM64=no)
	config/test-package
	@if [ "$(ARM64)" = no ]; then echo "arm64: NOT TESTED, ARM64=no asks for that"; else $(MAKE) test-arm64; fi

# The emulator knows no openat2, by which files of an image's tree are reached, and tells neither how much of an answer a socket
# still has nor what time a process took. What is tried at random is the same on any machine, and takes an hour by it.
EMULATED := --skip instances::rootfs --skip instances::volumes --skip container::root --skip pieces_of_an_answer_grow \
	--skip metrics::process --skip properties --skip brute_force

test-arm64: setup ## run the unit tests for arm64 by an emulator, and make its package
	config/cross arm64 cargo test --locked --lib -- $(EMULATED)
	@$(MAKE) deb ARCH=arm64

ten-minutes: deb ## the first ten minutes with actord on a bare Debian: install, deploy, break, mend, upgrade, roll back, each with its time
	config/ten-minutes

clean: ## stop what `make run` started and remove everything that was built
	@[ ! -d $(TARGET)/run/data ] || ACTORD=$(ACTORD) config/demo down
	cargo clean
