#include "engine/base/float_control.h"

#if defined(__SSE2__)

#include <emmintrin.h>

/* Results and operands: FTZ and DAZ. */
#define FLUSH_BITS 0x8040u

static float_control control_read(void) {
  return _mm_getcsr();
}

static void control_write(float_control control) {
  _mm_setcsr((unsigned)control);
}

#elif defined(__aarch64__)

/* FZ, for both. */
#define FLUSH_BITS ((float_control)1 << 24)

static float_control control_read(void) {
  float_control control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}

static void control_write(float_control control) {
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

#else

#define FLUSH_BITS 0u

static float_control control_read(void) {
  return 0;
}

static void control_write(float_control control) {
  (void)control;
}

#endif

/* Writing takes longer than reading. */
static float_control control_change(float_control before, float_control after) {
  if (before != after) control_write(after);
  return before;
}

float_control float_control_flush(void) {
  const float_control before = control_read();
  return control_change(before, before | FLUSH_BITS);
}

float_control float_control_keep(void) {
  const float_control before = control_read();
  return control_change(before, before & ~(float_control)FLUSH_BITS);
}

void float_control_restore(float_control before) {
  control_change(control_read(), before);
}
