// The tracepoints of the race: one for each session, with and without contexts, all with the same field.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER lapwing_race

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng_record.h"

#if !defined(LAPWING_RACE_LTTNG_RECORD_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LAPWING_RACE_LTTNG_RECORD_H

#include <lttng/tracepoint.h>

// A sequence, since a log's records are of any length and end with no zero; a string and an array of 100 take as long.
LTTNG_UST_TRACEPOINT_EVENT_CLASS(lapwing_race, record,
    LTTNG_UST_TP_ARGS(const char *, payload, unsigned int, len),
    LTTNG_UST_TP_FIELDS(lttng_ust_field_sequence_text(char, payload, payload, unsigned int, len)))

#define LAPWING_RACE_TRACEPOINT(name) \
    LTTNG_UST_TRACEPOINT_EVENT_INSTANCE(lapwing_race, record, lapwing_race, name, \
        LTTNG_UST_TP_ARGS(const char *, payload, unsigned int, len))

LAPWING_RACE_TRACEPOINT(snapshot)
LAPWING_RACE_TRACEPOINT(snapshot_meta)
LAPWING_RACE_TRACEPOINT(discard)
LAPWING_RACE_TRACEPOINT(discard_meta)

#endif

#include <lttng/tracepoint-event.h>
