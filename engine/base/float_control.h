/* How this thread computes with numbers below the normal range (denormals): as IEEE 754 says, which many CPUs do a
 * hundred times slower, or as zeros. Where the CPU leaves no choice (WebAssembly) these functions do nothing. */
#ifndef ENGINE_BASE_FLOAT_CONTROL_H
#define ENGINE_BASE_FLOAT_CONTROL_H

#include <stdint.h>

/* A thread's control word; opaque. */
typedef uint64_t float_control;

/* From now on denormal operands and results count as zero; the control word as it was. */
float_control float_control_flush(void);
/* From now on as IEEE 754 has it; the control word as it was. */
float_control float_control_keep(void);
void float_control_restore(float_control before);

#endif
