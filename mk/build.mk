# What is built from what. A folder's .c files are one component; programs name the
# components they link, and `make lint` checks that the folders keep their direction.
sources = $(sort $(wildcard $(1)/*.c))
objects = $(patsubst %.c,$(OBJ)/%.o,$(1))

LIB_SRC       := $(call sources,lib)
NETLINK_SRC   := $(filter lib/netlink%,$(LIB_SRC))
CODEC_SRC     := $(filter %codec.c %fields.c,$(call sources,ipsecd/model))
MODEL_SRC     := $(filter-out $(CODEC_SRC),$(call sources,ipsecd/model)) lib/table.c
WIRE_SRC      := $(call sources,ipsecd/wire)
CRYPTO_SRC    := $(call sources,ipsecd/crypto)
IKE_SRC       := $(call sources,ipsecd/ike)
DATAPLANE_SRC := $(call sources,ipsecd/dataplane)
POOL_SRC      := $(call sources,ipsecd/pool)
IPC_SRC       := $(call sources,ipsecd/ipc)
STATE_SRC     := $(call sources,ipsecd/state)
REMOTE_SRC    := $(call sources,ipsecd/remote)
NET_SRC       := $(call sources,ipsecd/net)
CONTROL_SRC   := $(call sources,ipsecd/control)
CONFIG_SRC    := $(call sources,ipsecd/config)
SHELL_SRC     := $(call sources,ipsecd)
CTL_SRC       := $(call sources,ipsecd/ctl)
BRIDGE_SRC    := $(call sources,routed-bridge)
TOPOLOGY_SRC  := $(call sources,topology)
# Threads beside the main one, where packets are ours.
THREADS_SRC   := lib/worker.c lib/grace.c lib/mailbox.c lib/log_mail.c
THREADS_LIBS  := -lurcu-qsbr -lurcu-common
LABS_SRC      := $(call sources,labs)

ALL_SRC := $(LIB_SRC) $(MODEL_SRC) $(CODEC_SRC) $(WIRE_SRC) $(CRYPTO_SRC) $(IKE_SRC) $(DATAPLANE_SRC) $(POOL_SRC) $(IPC_SRC) $(STATE_SRC) $(REMOTE_SRC) \
	$(NET_SRC) $(CONTROL_SRC) $(CONFIG_SRC) $(SHELL_SRC) $(CTL_SRC) $(BRIDGE_SRC) $(TOPOLOGY_SRC)

PROGRAMS := ipsecd ipsecctl routed-bridge topology

.PHONY: all
all: $(addprefix $(BIN)/,$(PROGRAMS)) $(BIN)/lab-probe $(BIN)/supervise-test $(BIN)/hostile-ike $(BUILD)/libike.a ## build the programs into build/bin/ and the engine

$(OBJ)/%.o: %.c mk/flags.mk
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $<")
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define archive
	@mkdir -p $(@D)
	$(if $(Q),@echo "  AR      $@")
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)
endef

define link
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(1)
endef

# lib/ as an archive, so that each program takes only the objects it uses.
$(BUILD)/libdetour.a: $(call objects,$(LIB_SRC))
	$(archive)

# The engine with all it needs but lib/ and an implementation of crypto.h.
$(BUILD)/libike.a: $(call objects,$(IKE_SRC) $(WIRE_SRC) $(MODEL_SRC) $(CODEC_SRC))
	$(archive)

# The mains of the processes.
ROLE_SRC := ipsecd/plane_role.c ipsecd/ike_role.c ipsecd/helper_role.c

# The fake data plane is the tests'.
IPSECD_SRC := $(SHELL_SRC) $(NET_SRC) $(POOL_SRC) $(IPC_SRC) $(STATE_SRC) $(REMOTE_SRC) $(CONTROL_SRC) $(CONFIG_SRC) $(CRYPTO_SRC) \
	$(filter-out ipsecd/dataplane/fake.c,$(DATAPLANE_SRC))

IPSECD_LIBS := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS) -lcares -lmicrohttpd -lseccomp -lcap-ng -lsystemd

$(BIN)/ipsecd: $(call objects,$(IPSECD_SRC)) \
		$(BUILD)/libike.a $(BUILD)/libdetour.a
	$(call link,$(IPSECD_LIBS))

# The supervisor with roles that are told what to do; not installed.
$(BIN)/supervise-test: $(call objects,$(filter-out $(ROLE_SRC),$(IPSECD_SRC)) tests/support/fake_roles.c) \
		$(BUILD)/libike.a $(BUILD)/libdetour.a
	$(call link,$(IPSECD_LIBS))

# What an ike in other hands asks for; not installed.
$(BIN)/hostile-ike: $(call objects,tests/support/hostile_ike.c tests/support/ipc_samples.c ipsecd/ipc/helper_body.c) \
		$(BUILD)/libike.a $(BUILD)/libdetour.a
	$(call link,)

$(BIN)/ipsecctl: $(call objects,$(CTL_SRC)) $(BUILD)/libdetour.a
	$(call link,-ljansson)

$(BIN)/routed-bridge: $(call objects,$(BRIDGE_SRC)) $(BUILD)/libdetour.a
	$(call link,-lmnl -lev -ljansson -lmicrohttpd -lsystemd)

$(BIN)/topology: $(call objects,$(TOPOLOGY_SRC)) $(BUILD)/libdetour.a
	$(call link,-lcyaml -lyaml)

# What the labs measure with; not installed.
$(BIN)/lab-probe: $(call objects,$(LABS_SRC))
	$(call link,)

-include $(patsubst %.c,$(OBJ)/%.d,$(ALL_SRC) $(LABS_SRC) $(addprefix tests/support/,fake_roles.c hostile_ike.c ipc_samples.c))
