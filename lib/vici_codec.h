/* The vici message format, as strongSwan's vici plugin documents it: pure parse and
 * encode, no allocation. A packet on the socket is a u32 length (network order, at
 * most 512 KiB) and then
 *	u8 type | [u8 name length, name] | elements
 * where named packets are CMD_REQUEST, EVENT_REGISTER, EVENT_UNREGISTER and EVENT. */
#ifndef DETOUR_VICI_CODEC_H
#define DETOUR_VICI_CODEC_H

#include "lib/buf.h"

#define VICI_PACKET_MAX	 (512 * 1024)
#define VICI_NAME_MAX	 255
#define VICI_DEPTH_MAX	 16 /* sections inside sections; deeper is refused */
#define VICI_SOCKET_PATH "/var/run/charon.vici"

enum vici_packet_type {
	VICI_CMD_REQUEST = 0,
	VICI_CMD_RESPONSE = 1,
	VICI_CMD_UNKNOWN = 2,
	VICI_EVENT_REGISTER = 3,
	VICI_EVENT_UNREGISTER = 4,
	VICI_EVENT_CONFIRM = 5,
	VICI_EVENT_UNKNOWN = 6,
	VICI_EVENT = 7,
};

enum vici_element_type {
	VICI_END = 0, /* of the message; never on the wire */
	VICI_SECTION_START = 1,
	VICI_SECTION_END = 2,
	VICI_KEY_VALUE = 3,
	VICI_LIST_START = 4,
	VICI_LIST_ITEM = 5,
	VICI_LIST_END = 6,
};

enum vici_error {
	VICI_OK,
	VICI_TRUNCATED,
	VICI_BAD_PACKET_TYPE,
	VICI_BAD_ELEMENT,
	VICI_BAD_NESTING, /* section in list, item outside list, unbalanced end */
	VICI_TOO_DEEP,
	VICI_EMPTY_NAME,
};

const char *vici_strerror(enum vici_error e);

struct vici_packet {
	enum vici_packet_type type;
	struct span name; /* empty for unnamed packets */
	struct span body; /* the elements */
};

/* Parses the head of a packet (without the u32 length). */
enum vici_error vici_packet_parse(struct span in, struct vici_packet *out);

/* Walks the elements; check the whole body first with vici_body_check, then
 * vici_next can't fail. */
struct vici_iter {
	struct reader r;
	unsigned depth;
	bool in_list;
};

struct vici_element {
	enum vici_element_type type;
	struct span name;  /* SECTION_START, KEY_VALUE, LIST_START */
	struct span value; /* KEY_VALUE, LIST_ITEM */
};

enum vici_error vici_body_check(struct span body, size_t *offset);
struct vici_iter vici_iter(struct span body);
enum vici_error vici_next(struct vici_iter *it, struct vici_element *out);

/* ---- looking up in a checked body ---- */

/* The value at a path of section names and the final key, '.' between (so that names
 * with a '.' are not addressable): vici_get(body, "child-sas.net.state", &v). */
bool vici_get(struct span body, const char *path, struct span *value);
/* The body of the named section directly inside `body`. */
bool vici_section(struct span body, const char *name, struct span *section);
/* Copies a value as a C string; false when missing, too long or with a NUL inside. */
bool vici_get_str(struct span body, const char *path, char *out, size_t size);

/* ---- building ---- */

/* Starts a packet: writes the u32 length (back-patched by vici_finish), type, name. */
void vici_start(struct buf *b, enum vici_packet_type type, const char *name);
void vici_put_section(struct buf *b, const char *name);
void vici_put_section_n(struct buf *b, struct span name);
void vici_put_section_end(struct buf *b);
void vici_put(struct buf *b, const char *key, const char *value);
void vici_put_span(struct buf *b, const char *key, struct span value);
void vici_put_format(struct buf *b, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void vici_put_list(struct buf *b, const char *name);
void vici_put_item(struct buf *b, const char *value);
void vici_put_list_end(struct buf *b);
/* Writes the length; false if the message did not fit. */
bool vici_finish(struct buf *b);

#endif
