# Fuzzers (clang's libFuzzer): tests/fuzz/fuzz_NAME.c with its corpus in
# tests/fuzz/corpus/NAME. FUZZ_name := the sources it links.
-include tests/fuzz/fuzz.mk

FUZZERS := $(patsubst FUZZ_%,%,$(filter FUZZ_%,$(.VARIABLES)))
FUZZ_CC ?= clang
T ?= 20

define fuzzer
$(BUILD)/fuzz/$(1): $(FUZZ_$(1)) $(wildcard lib/*.h ipsecd/*/*.h routed-bridge/*.h tests/support/*.h)
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo "  FUZZ    $$@")
	$$(Q)$$(FUZZ_CC) -std=c11 -D_GNU_SOURCE -DDETOUR_VERSION='"fuzz"' -I. -O1 -g \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o $$@ $(FUZZ_$(1)) $(FUZZLIBS_$(1))
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzzer,$(f))))

.PHONY: fuzz fuzz-build
fuzz-build: $(addprefix $(BUILD)/fuzz/,$(FUZZERS))

fuzz: fuzz-build ## replay the corpus and fuzz every parser for T seconds each (T=20)
	@tests/run-fuzz $(BUILD)/fuzz $(T) $(FUZZERS)
