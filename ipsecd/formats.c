/* The versions of all formats that outlive a program, in one line. */
#include "ipsecd/formats.h"
#include "ipsecd/dataplane/area.h"
#include "ipsecd/ike/state.h"
#include "ipsecd/model/conn_codec.h"
#include "ipsecd/state/store_log.h"

#define STRING(x)	 STRING_OF(x)
#define STRING_OF(x)	 #x
#define IS(version)	 "=" STRING(version)

#define HANDOVER_VERSION 1 /* supervise_handover.c, supervise_takeover.c */
#define IPC_VERSION	 4 /* between a supervisor and the former one's processes: ipc/verbs.h */

/* clang-format off */
static const char all[] =
	"handover" IS(HANDOVER_VERSION)
	" ipc" IS(IPC_VERSION)
	" area" IS(AREA_VERSION)
	" store" IS(STORE_VERSION)
	" engine" IS(STATE_VERSION)
	" conf" IS(CONN_CODEC_VERSION);
/* clang-format on */

const char *formats_kept(void)
{
	return all;
}
