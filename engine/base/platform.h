/* What the library asks of the operating system beyond files and threads. */
#ifndef ENGINE_BASE_PLATFORM_H
#define ENGINE_BASE_PLATFORM_H

#include <stdint.h>

/* Nanoseconds of a clock that only goes forward. */
uint64_t clock_now_ns(void);

#endif
