// Appends through a tracepoint of LTTng-UST, and says whether a session has it enabled.
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "lttng_record.h"

#include <stddef.h>
#include <stdint.h>

#define TRACEPOINT(name) \
    void append_##name(const char *payload, size_t len) \
    { \
        lttng_ust_tracepoint(lapwing_race, name, payload, len); \
    } \
    uint64_t enabled_##name(void) \
    { \
        return lttng_ust_tracepoint_enabled(lapwing_race, name) != 0; \
    }

TRACEPOINT(snapshot)
TRACEPOINT(snapshot_meta)
TRACEPOINT(discard)
TRACEPOINT(discard_meta)
