# The same cases against every data plane; a driver each.
CONTRACT_SRC := tests/contract/contract.c tests/contract/cases_device.c tests/contract/cases_packet.c \
	tests/contract/cases_event.c tests/contract/cases_restore.c tests/contract/keeper.c $(DATAPLANE_SRC) $(CRYPTO_SRC) ipsecd/model/algorithm.c \
	ipsecd/model/ts.c ipsecd/model/tunnel_config.c lib/addr.c lib/buf.c lib/log.c lib/mono.c lib/private_memory.c $(THREADS_SRC) $(NETLINK_SRC)
TEST_contract_fake := tests/contract/driver_fake.c $(CONTRACT_SRC)
LIBS_contract_fake := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
TEST_contract_userspace := tests/contract/driver_userspace.c tests/contract/tun_host.c tests/contract/kernel.c $(CONTRACT_SRC)
LIBS_contract_userspace := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
# A plane behind the link between processes: both ends of it.
LINK_SRC := $(IPC_SRC) $(REMOTE_SRC) $(addprefix ipsecd/,plane_server.c plane_server_tunnel.c plane_served.c plane_routes.c plane_addrs.c) $(STATE_SRC) lib/crc32c.c $(filter ipsecd/net/udp%,$(NET_SRC)) \
	$(filter-out %/algorithm.c %/ts.c %/tunnel_config.c,$(MODEL_SRC)) lib/words.c lib/table.c tests/support/plane_child.c
TEST_contract_remote := tests/contract/driver_remote.c tests/contract/tun_host.c tests/contract/kernel.c $(LINK_SRC) $(CONTRACT_SRC)
LIBS_contract_remote := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
TEST_test_kill := tests/contract/test_kill.c tests/contract/kernel.c $(CONTRACT_SRC)
LIBS_test_kill := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
TEST_test_remote := tests/unit/test_remote.c tests/support/ipc_samples.c $(LINK_SRC) \
	$(filter-out tests/contract/%,$(CONTRACT_SRC))
LIBS_test_remote := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
TEST_test_tun := tests/contract/test_tun.c tests/contract/kernel.c $(CONTRACT_SRC)
LIBS_test_tun := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS) -Wl,--wrap=tun_read,--wrap=netlink_build_qdisc,--wrap=netlink_build_link_change
TEST_test_netlink_kernel := tests/contract/test_netlink.c tests/contract/kernel.c $(NETLINK_SRC) lib/addr.c
LIBS_test_netlink_kernel := -lmnl -lpthread
TEST_test_plane_routes := tests/contract/test_plane_routes.c ipsecd/plane_routes.c ipsecd/plane_addrs.c $(STATE_SRC) lib/crc32c.c lib/table.c \
	lib/log.c lib/private_memory.c tests/contract/kernel.c \
	$(NETLINK_SRC) lib/addr.c
LIBS_test_plane_routes := -lmnl -Wl,--wrap=netlink_addr_add_new
TEST_test_turn_settings := tests/contract/test_turn_settings.c routed-bridge/turn_settings.c tests/contract/kernel.c \
	$(NETLINK_SRC) lib/addr.c
LIBS_test_turn_settings := -lmnl
KERNEL_TESTS += contract_kernel test_kernel_plane test_kernel_kill test_xfrm_kernel
TEST_contract_kernel := tests/contract/driver_kernel.c tests/contract/site.c tests/contract/kernel.c $(CONTRACT_SRC)
TEST_test_kernel_plane := tests/contract/test_kernel_plane.c tests/contract/site.c tests/contract/kernel.c \
	$(CONTRACT_SRC)
LIBS_test_kernel_plane := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
TEST_test_kernel_kill := tests/contract/test_kernel_kill.c tests/contract/site.c tests/contract/kernel.c \
	$(CONTRACT_SRC)
LIBS_test_kernel_kill := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
LIBS_contract_kernel := -lcrypto -lnftnl -lmnl -lev $(THREADS_LIBS)
TEST_test_xfrm_kernel := tests/kernel/test_xfrm_kernel.c tests/support/xfrm_samples.c tests/contract/kernel.c \
	$(XFRM_SRC) ipsecd/model/algorithm.c $(NETLINK_SRC) lib/addr.c
LIBS_test_xfrm_kernel := -lmnl
TEST_test_mss := tests/contract/test_mss.c tests/contract/kernel.c \
	$(addprefix ipsecd/dataplane/,mss.c mss_nft.c tun.c device.c) $(NETLINK_SRC) lib/addr.c lib/buf.c lib/log.c
LIBS_test_mss := -lnftnl -lmnl
TEST_test_sandbox := tests/contract/test_sandbox.c tests/contract/attacks.c \
	$(filter ipsecd/sandbox%,$(SHELL_SRC)) lib/log.c
LIBS_test_sandbox := -lseccomp -lcap-ng
TEST_test_udp := tests/contract/test_udp.c tests/contract/kernel.c $(filter ipsecd/net/udp%,$(NET_SRC)) $(NETLINK_SRC) \
	lib/addr.c lib/log.c lib/mono.c $(THREADS_SRC)
LIBS_test_udp := -lmnl -lev $(THREADS_LIBS) -Wl,--wrap=sendmsg,--wrap=sendmmsg
