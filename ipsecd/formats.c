/* The versions of all formats that outlive a program, in one line. */
#include "ipsecd/formats.h"
#include "ipsecd/dataplane/area.h"
#include "ipsecd/ike/state.h"
#include "ipsecd/model/conn_codec.h"
#include "ipsecd/state/store_log.h"

#define STRING(x)	 STRING_OF(x)
#define STRING_OF(x)	 #x

#define HANDOVER_VERSION 1 /* supervise_handover.c, supervise_takeover.c */
#define IPC_VERSION	 1 /* between a supervisor and the former one's processes: ipc/verbs.h */

const char *formats_kept(void)
{
	return "handover=" STRING(HANDOVER_VERSION) " ipc=" STRING(IPC_VERSION) " area=" STRING(
		AREA_VERSION) " store=" STRING(STORE_VERSION) " engine=" STRING(STATE_VERSION) " co"
											       "nf"
											       "=" STRING(
												       CONN_CODEC_VERSION);
}
