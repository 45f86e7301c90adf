/* The start of a program on a Cortex-M: the vector table and the floating-point unit. newlib's start does the rest. */
#include <stdint.h>

extern char stack_top;
void _start(void);

static void on_reset(void) {
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: full access to CP10 and CP11 (ARMv7-M, B3.2.20) */
  __asm__ volatile("dsb\n isb");
  _start();
}

static void on_fault(void) {
  for (;;) continue;
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    &stack_top,
    (const void *)on_reset,
    (const void *)on_fault,
    (const void *)on_fault,
    (const void *)on_fault,
    (const void *)on_fault,
    (const void *)on_fault,
};
