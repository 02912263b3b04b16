SIM_SRC := $(wildcard tests/sim/sim*.c) tests/support/crypto_null.c $(IKE_SRC) $(WIRE_SRC) $(MODEL_SRC) $(POOL_SRC) \
	lib/addr.c lib/buf.c lib/log.c lib/table.c lib/words.c
TEST_test_sim_exchanges := tests/sim/test_sim_exchanges.c $(SIM_SRC) $(CRYPTO_SRC)
LIBS_test_sim_exchanges := -lcrypto
TEST_test_sim_collisions := tests/sim/test_sim_collisions.c $(SIM_SRC)
TEST_test_sim_chaos := tests/sim/test_sim_chaos.c $(SIM_SRC)
TEST_test_sim_refusals := tests/sim/test_sim_refusals.c $(SIM_SRC)
TEST_test_sim_conns := tests/sim/test_sim_conns.c $(SIM_SRC)
TEST_test_sim_hostile := tests/sim/test_sim_hostile.c $(SIM_SRC)
TEST_test_sim_oom := tests/sim/test_sim_oom.c $(SIM_SRC)
LIBS_test_sim_oom := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup \
	-Wl,--wrap=ike_engine_datagram,--wrap=ike_engine_expire,--wrap=ike_engine_child_event,--wrap=ike_engine_lease,--wrap=ike_engine_command
TEST_test_sim_rules := tests/sim/test_sim_rules.c $(SIM_SRC)
TEST_test_sim_vips := tests/sim/test_sim_vips.c $(SIM_SRC)
TEST_test_sim_reauth := tests/sim/test_sim_reauth.c $(SIM_SRC)
TEST_test_sim_paths := tests/sim/test_sim_paths.c $(SIM_SRC)
TEST_test_sim_restart := tests/sim/test_sim_restart.c $(SIM_SRC)
TEST_test_sim_resources := tests/sim/test_sim_resources.c $(SIM_SRC)
TEST_test_sim_midway := tests/sim/test_sim_midway.c $(SIM_SRC)
TEST_test_sim_records := tests/sim/test_sim_records.c $(SIM_SRC)
TEST_test_sim_state := tests/sim/test_sim_state.c $(SIM_SRC)
TEST_test_sim_suspect := tests/sim/test_sim_suspect.c $(SIM_SRC)
TEST_test_sim_reboot := tests/sim/test_sim_reboot.c $(SIM_SRC)
TEST_test_sim_sync := tests/sim/test_sim_sync.c $(SIM_SRC)
LIBS_test_sim_sync := -Wl,--wrap=malloc
TEST_test_sim_idle := tests/sim/test_sim_idle.c $(SIM_SRC)
TEST_test_sim_aggfrag := tests/sim/test_sim_aggfrag.c $(SIM_SRC)
TEST_test_sim_held := tests/sim/test_sim_held.c $(SIM_SRC)

# Each of them once more with every input handled by an engine of its own (sim_state.c).
SIM_RESTORED := exchanges collisions chaos refusals conns hostile oom rules vips reauth paths restart midway suspect reboot held resources aggfrag
define restored
TEST_test_restored_$(1) := tests/sim/restored.c $$(TEST_test_sim_$(1))
LIBS_test_restored_$(1) := $$(LIBS_test_sim_$(1))
endef
$(foreach t,$(SIM_RESTORED),$(eval $(call restored,$(t))))
