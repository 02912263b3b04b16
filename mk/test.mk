# Tests. Every unit test names exactly the objects it links, in tests/unit/tests.mk
# (TEST_name := sources), so that the link line documents the coupling. Test binaries go
# to build/tests/, their closing lines are cmocka's.
include tests/unit/tests.mk
-include tests/sim/tests.mk
-include tests/contract/tests.mk
-include tests/bench/bench.mk
-include tests/count/tests.mk

# KERNEL_TESTS (in the files above) need ESP and vti in the kernel: `make test` leaves them out.
BUILT_TESTS := $(patsubst TEST_%,%,$(filter TEST_%,$(.VARIABLES)))
UNIT_TESTS := $(filter-out $(KERNEL_TESTS),$(BUILT_TESTS))

# Those that take long begin, lest one of them goes on alone when the others have ended.
LONG_TESTS := test_area $(addprefix test_,restored_reauth restored_oom restored_restart restored_resources restored_chaos \
	repair_sim lanes sim_chaos kill sim_restart)
UNIT_TESTS := $(filter $(UNIT_TESTS),$(LONG_TESTS)) $(filter-out $(LONG_TESTS),$(UNIT_TESTS))

define unit_test
$(BUILD)/tests/$(1): $(call objects,$(TEST_$(1)))
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo "  LD      $$@")
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ -lcmocka $(LIBS_$(1))
-include $(patsubst %.c,$(OBJ)/%.d,$(TEST_$(1)))
endef
$(foreach t,$(BUILT_TESTS),$(eval $(call unit_test,$(t))))

.PHONY: check check-kernel test test-san test-tsan tsan tsan-build unit interop
unit: $(addprefix $(BUILD)/tests/,$(BUILT_TESTS))

test: unit ## unit tests, simulations and contract tests (needs libcmocka-dev)
	@tests/run-units $(BUILD)/tests $(UNIT_TESTS)

test-san: ## the same under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory SAN=1 test

TSAN_TESTS := test_lanes test_log_mail

tsan-build: $(addprefix $(BUILD)/tests/,$(TSAN_TESTS))

# Its shadow memory has fixed places: where the kernel scatters mappings further than it knows
# (vm.mmap_rnd_bits above 28) a program would end before it began.
tsan: tsan-build
	@$$(setarch -R true 2>/dev/null && echo setarch -R) tests/run-units $(BUILD)/tests $(TSAN_TESTS)

test-tsan: ## what several threads do at once, under ThreadSanitizer
	@$(MAKE) --no-print-directory TSAN=1 tsan

interop: all $(BUILD)/bench/bmp_table ## against strongSwan, swanctl, FRR and attackers in network namespaces (root)
	@$(MAKE) --no-print-directory SAN=1 all
	@tests/run-interop

check-kernel: ## with the kernel's IPsec, in User Mode Linux and QEMU (root)
	@mk/deps.sh build lab test
	@$(MAKE) --no-print-directory all unit
	@python3 -m tests.support.libreswan
	@tests/run-kernel $(abspath $(BUILD)) $(KERNEL_TESTS)

check: ## install what is missing, build, run every test
	@mk/deps.sh build lab test
	@tests/run-all
