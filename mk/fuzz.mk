# Fuzzers (clang's libFuzzer): tests/fuzz/fuzz_NAME.c with its corpus in
# tests/fuzz/corpus/NAME. FUZZ_name := the sources it links.
-include tests/fuzz/fuzz.mk

FUZZERS := $(patsubst FUZZ_%,%,$(filter FUZZ_%,$(.VARIABLES)))

# Those that take long begin, lest one of them goes on alone when the others have ended.
LONG_FUZZERS := $(addprefix fuzz_,engine ipsec_conf esp bridge_conf state area aggfrag_trip)
FUZZERS := $(filter $(FUZZERS),$(LONG_FUZZERS)) $(filter-out $(LONG_FUZZERS),$(FUZZERS))
SEEDS := $(patsubst SEED_%,%,$(filter SEED_%,$(.VARIABLES)))
FUZZ_CC ?= clang
FUZZ_OBJ := $(BUILD)/fuzz/obj
FUZZ_SAN := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
T ?= 20
RUNS ?=

$(FUZZ_OBJ)/%.o: %.c mk/fuzz.mk
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $< (fuzzer)")
	$(Q)$(FUZZ_CC) -std=c11 -D_GNU_SOURCE -DDETOUR_VERSION='"fuzz"' -I. -O1 -g $(FUZZ_SAN) \
		-MMD -MP -c -o $@ $<

define fuzzer
$(BUILD)/fuzz/$(1): $(patsubst %.c,$(FUZZ_OBJ)/%.o,$(FUZZ_$(1)))
	$$(if $$(Q),@echo "  FUZZ    $$@")
	$$(Q)$$(FUZZ_CC) $$(FUZZ_SAN) -o $$@ $$^ $(FUZZLIBS_$(1))
-include $(patsubst %.c,$(FUZZ_OBJ)/%.d,$(FUZZ_$(1)))
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzzer,$(f))))

define seeder
$(BUILD)/fuzz/seed_$(1): $(patsubst %.c,$(FUZZ_OBJ)/%.o,$(SEED_$(1)))
	$$(if $$(Q),@echo "  SEED    $$@")
	$$(Q)$$(FUZZ_CC) $$(subst =fuzzer,=fuzzer-no-link,$$(FUZZ_SAN)) -o $$@ $$^ $(FUZZLIBS_fuzz_$(1))
-include $(patsubst %.c,$(FUZZ_OBJ)/%.d,$(SEED_$(1)))
endef
$(foreach s,$(SEEDS),$(eval $(call seeder,$(s))))

.PHONY: fuzz fuzz-build
fuzz-build: $(addprefix $(BUILD)/fuzz/,$(FUZZERS) $(addprefix seed_,$(SEEDS)))

fuzz: fuzz-build ## replay the corpus, fuzz every parser for T seconds each (T=20), or RUNS= inputs
	@tests/run-fuzz $(BUILD)/fuzz $(if $(RUNS),$(RUNS)x,$(T)) $(FUZZERS)
