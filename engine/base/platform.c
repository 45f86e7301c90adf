#include "engine/base/platform.h"

#include <time.h>

uint64_t clock_now_ns(void) {
#ifndef NORMA_BARE_METAL
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#else
  return (uint64_t)clock() * (1000000000u / CLOCKS_PER_SEC);
#endif
}
