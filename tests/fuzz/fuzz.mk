FUZZ_fuzz_aggfrag := tests/fuzz/fuzz_aggfrag.c ipsecd/dataplane/aggfrag_open.c
FUZZ_fuzz_aggfrag_trip := tests/fuzz/fuzz_aggfrag_trip.c $(addprefix ipsecd/dataplane/,aggfrag_pack.c aggfrag_open.c)
FUZZ_fuzz_vici := tests/fuzz/fuzz_vici.c lib/vici_codec.c lib/buf.c
FUZZ_fuzz_ike_message := tests/fuzz/fuzz_ike_message.c tests/support/wire_echo.c $(WIRE_SRC) ipsecd/model/id.c lib/buf.c lib/addr.c lib/words.c
FUZZ_fuzz_vici_load_conn := tests/fuzz/fuzz_vici_load_conn.c $(addprefix ipsecd/control/,load_conn.c load_child.c load_values.c load_device.c load_iptfs.c) $(MODEL_SRC) lib/vici_codec.c lib/buf.c lib/addr.c lib/words.c
FUZZ_fuzz_esp := tests/fuzz/fuzz_esp.c ipsecd/dataplane/fake.c $(FORWARD_SRC) ipsecd/model/algorithm.c ipsecd/model/ts.c \
	lib/addr.c lib/buf.c lib/log.c $(CRYPTO_SRC)
FUZZLIBS_fuzz_esp := -lcrypto
FUZZ_fuzz_quality := tests/fuzz/fuzz_quality.c $(addprefix routed-bridge/,quality.c probe_message.c prefix_list.c) lib/addr.c
FUZZ_fuzz_icmp := tests/fuzz/fuzz_icmp.c ipsecd/net/icmp_message.c lib/addr.c
FUZZ_fuzz_udp_frame := tests/fuzz/fuzz_udp_frame.c ipsecd/net/udp_frame.c
FUZZ_fuzz_ipsec_conf := tests/fuzz/fuzz_ipsec_conf.c $(CONFIG_SRC) $(MODEL_SRC) lib/addr.c lib/buf.c lib/words.c
FUZZ_fuzz_ipsec_secrets := tests/fuzz/fuzz_ipsec_secrets.c $(CONFIG_SRC) $(MODEL_SRC) lib/addr.c lib/buf.c lib/words.c
FUZZ_fuzz_topology := tests/fuzz/fuzz_topology.c topology/file.c topology/locate.c topology/problem.c \
	topology/model.c topology/check.c topology/plan.c topology/emit_ipsec.c topology/emit_frr.c \
	topology/emit_bridge.c topology/emit_clab.c topology/emit_diagram.c lib/addr.c lib/words.c
FUZZLIBS_fuzz_topology := -lcyaml -lyaml
FUZZ_fuzz_zapi := tests/fuzz/fuzz_zapi.c $(addprefix routed-bridge/,zapi_version.c zapi_parse.c zapi_encode.c frr_version.c) lib/addr.c lib/buf.c lib/unix_socket.c
FUZZLIBS_fuzz_zapi := -lev
FUZZ_fuzz_bridge_conf := tests/fuzz/fuzz_bridge_conf.c $(filter routed-bridge/config%,$(BRIDGE_SRC)) lib/addr.c lib/words.c
FUZZ_fuzz_bridge_tunnels := tests/fuzz/fuzz_bridge_tunnels.c routed-bridge/tunnels.c routed-bridge/tunnels_view.c routed-bridge/vici_body.c lib/vici_codec.c lib/addr.c lib/buf.c lib/words.c
FUZZ_fuzz_engine := tests/fuzz/fuzz_engine.c $(SIM_SRC)
FUZZ_fuzz_netlink := tests/fuzz/fuzz_netlink.c lib/netlink_message.c lib/netlink_device_message.c \
	lib/netlink_route_message.c lib/addr.c
FUZZLIBS_fuzz_netlink := -lmnl
FUZZ_fuzz_xfrm := tests/fuzz/fuzz_xfrm.c $(filter ipsecd/dataplane/xfrm_%,$(DATAPLANE_SRC)) ipsecd/model/algorithm.c \
	lib/netlink_message.c lib/addr.c
FUZZLIBS_fuzz_xfrm := -lmnl
FUZZ_fuzz_vty := tests/fuzz/fuzz_vty.c routed-bridge/vty_frame.c
FUZZ_fuzz_bmp := tests/fuzz/fuzz_bmp.c $(addprefix routed-bridge/,bmp.c bmp_feed.c bgp_update.c bgp_message.c paths.c) \
	lib/addr.c lib/buf.c lib/log.c
FUZZ_fuzz_bfd := tests/fuzz/fuzz_bfd.c $(addprefix routed-bridge/bfd_,table.c session.c due.c packet.c) lib/addr.c lib/buf.c
FUZZ_fuzz_bfddp := tests/fuzz/fuzz_bfddp.c routed-bridge/bfddp.c $(addprefix routed-bridge/bfd_,table.c session.c due.c packet.c) lib/addr.c lib/buf.c
FUZZ_fuzz_bgp_json := tests/fuzz/fuzz_bgp_json.c routed-bridge/bgp_json.c routed-bridge/paths.c lib/addr.c
FUZZLIBS_fuzz_bgp_json := -ljansson
FUZZ_fuzz_repair_json := tests/fuzz/fuzz_repair_json.c routed-bridge/repair_json.c lib/addr.c
FUZZLIBS_fuzz_repair_json := -ljansson
FUZZ_fuzz_store := tests/fuzz/fuzz_store.c ipsecd/state/store.c ipsecd/state/store_log.c lib/crc32c.c lib/table.c
FUZZ_fuzz_conn_codec := tests/fuzz/fuzz_conn_codec.c ipsecd/publish_body.c ipsecd/updown_env.c $(MODEL_SRC) $(CODEC_SRC) lib/addr.c lib/buf.c lib/words.c
FUZZ_fuzz_area := tests/fuzz/fuzz_area.c $(addprefix ipsecd/dataplane/,area.c area_slot.c replay.c) lib/addr.c
FUZZ_fuzz_ipc := tests/fuzz/fuzz_ipc.c ipsecd/ipc/check.c ipsecd/ipc/check_child.c ipsecd/ipc/describe.c $(MODEL_SRC) lib/addr.c lib/words.c
FUZZ_fuzz_state := tests/fuzz/fuzz_state.c $(SIM_SRC)
FUZZ_fuzz_helper := tests/fuzz/fuzz_helper.c ipsecd/ipc/helper_body.c ipsecd/loaded.c $(CONFIG_SRC) $(MODEL_SRC) $(CODEC_SRC) \
	lib/addr.c lib/buf.c lib/words.c
FUZZ_fuzz_cut := tests/fuzz/fuzz_cut.c tests/support/packets.c ipsecd/dataplane/cut.c ipsecd/dataplane/checksum.c
FUZZ_fuzz_coalesce := tests/fuzz/fuzz_coalesce.c tests/support/packets.c $(addprefix ipsecd/dataplane/,coalesce.c cut.c checksum.c)

# SEED_name: a program that writes what fuzz_name begins with besides its corpus, where the format has a
# version of its own.
SEED_state := tests/fuzz/seed_state.c tests/fuzz/seed.c $(SIM_SRC)
SEED_conn_codec := tests/fuzz/seed_conn_codec.c tests/fuzz/seed.c ipsecd/publish_body.c ipsecd/updown_env.c $(CONFIG_SRC) $(MODEL_SRC) \
	$(CODEC_SRC) lib/addr.c lib/buf.c lib/words.c
