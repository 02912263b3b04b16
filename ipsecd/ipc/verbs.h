/* Every message that our processes send each other: the whole of what one may ask of another.
 * A body is the struct named beside the verb, in native layout, followed by bytes where it says
 * so; receivers check length and every field before use (check.h), refuse and log the rest.
 * "call": answered by IPC_ANSWER with the request's serial. */
#ifndef DETOUR_IPC_VERBS_H
#define DETOUR_IPC_VERBS_H

#include <stdint.h>

enum ipc_verb {
	/* ---- supervisor -> any role ---- */
	IPC_GIVE = 1,  /* struct ipc_name + descriptor: "vici", "engine", "area", "vault",
			  "addresses", "guard", "crash-secret", "udp4-500", "esp4", "esp6",
			  "tun:NAME", and links: "link:plane", "link:ike", "link:helper", each of
			  which may come again later, when that process is a new one or the link
			  broke */
	IPC_START,     /* all is given that there is; the role goes to work */
	IPC_RELOAD,    /* to ike: SIGHUP */
	IPC_STOP,      /* struct ipc_stop: SIGTERM, or to make room for another process */
	IPC_PING,      /* answered by IPC_PONG: does its loop turn? */
	IPC_PROCESSES, /* to ike: struct ipc_processes, for those who ask it */

	/* ---- any role -> supervisor ---- */
	IPC_READY = 16, /* it works; ike: a configuration is in force, the first or another */
	IPC_FAILED,	/* text, why: it can't start, and trying again is no use (exit status 1) */
	IPC_LOG,	/* struct ipc_log + text: one line */
	IPC_KEEP,	/* struct ipc_name + descriptor: to be given to the next process */
	IPC_DROP,	/* struct ipc_name */
	IPC_STATUS,	/* text for systemd */
	IPC_ENDED,	/* it has done what IPC_STOP asked, and leaves */
	IPC_PONG,
	IPC_KEEP_ON_STOP, /* ike: struct ipc_keep_on_stop, of the configuration in force */
	IPC_UNLINKED,	  /* ike: struct ipc_name, "plane" or "helper": it has no link to it */

	/* ---- ike -> plane: bodies, answers and what is refused are in plane.h ---- */
	IPC_PLANE_HELLO = 64, /* the first on each link; call */
	IPC_TUNNEL_CREATE,    /* call */
	IPC_TUNNEL_UPDATE,    /* call */
	IPC_TUNNEL_REMOVE,    /* call */
	IPC_TUNNEL_LINK,      /* call */
	IPC_TUNNEL_INFO,      /* call */
	IPC_TUNNEL_DISINHERIT,
	IPC_CHILD_INSTALL, /* call */
	IPC_CHILD_UPDATE,  /* call */
	IPC_CHILD_REMOVE,  /* call */
	IPC_CHILD_STATS,   /* call */
	IPC_SETTLED,
	IPC_SUPPORTS, /* call */
	IPC_COUNTERS, /* call */
	IPC_SEND_IKE,
	IPC_SEND_KEEPALIVE,
	IPC_ROUTE,   /* call */
	IPC_RULE,    /* call */
	IPC_ADDRESS, /* call */
	IPC_BIND,    /* call */
	IPC_WORKERS, /* call */
	IPC_CHANGES, /* call */
	IPC_PLANE_END,

	/* ---- plane -> ike ---- */
	IPC_EVENT = 128,
	IPC_IKE,
	IPC_SEND_FAILED,
	IPC_PLANE_EVENT_END,

	/* ---- ike -> helper: bodies in helper_body.h ---- */
	IPC_PSK_MAC = 192, /* call: struct ipc_mac and octets; answer: struct ipc_mac_answer */
	IPC_SECRET_HOLD,   /* call: struct ipc_secret and bytes; answer: struct ipc_held */
	IPC_SECRET_FORGET, /* struct ipc_held; answer: nothing, it is done */
	IPC_LOAD, /* struct ipc_load; answer: struct ipc_loaded with a sealed memfd (loaded.h), or
		     text */
	IPC_LOAD_TAKEN, /* struct ipc_loaded: it is in force, and none before it any more; answer:
			   nothing, those secrets are gone */
	IPC_RESOLVE,	/* struct ipc_resolve; IPC_RESOLVED follows */
	IPC_RUN,	/* struct ipc_script and strings; IPC_RAN follows; helper -> supervisor:
			   the same, approved */
	/* ---- helper -> ike ---- */
	IPC_NEW_VAULT, /* nothing: it has no secret that ike may know by number */
	IPC_RESOLVED,  /* struct ipc_resolved */
	IPC_RAN,       /* struct ipc_ran; supervisor -> helper: the same */

	IPC_ANSWER = 255,
};

#define IPC_NAME_MAX 64

struct ipc_name {
	char name[IPC_NAME_MAX]; /* NUL-terminated */
};

struct ipc_stop {
	uint8_t keep; /* the SAs and devices stay: another process takes over */
};

struct ipc_keep_on_stop {
	uint32_t seconds; /* 0: what is stopped ends */
};

enum ipc_role { IPC_ROLE_PLANE, IPC_ROLE_IKE, IPC_ROLE_HELPER, IPC_ROLES };

struct ipc_process {
	int32_t pid;	     /* 0: it does not run now */
	uint32_t restarts;   /* after it died; not those that were asked for */
	char last_death[64]; /* "killed by SIGSEGV", NUL-terminated; "": none */
};

struct ipc_processes {
	struct ipc_process role[IPC_ROLES];
	int32_t supervisor;
	uint32_t upgrades; /* and takeovers, since the first start */
};

struct ipc_log {
	uint8_t level; /* enum log_level */
	char subsystem[8];
	char name[IPC_NAME_MAX]; /* cut */
};

#endif
