/* Sorting without memory of its own, and without recursion, whatever the order of the items: the C library's qsort
 * takes as much memory as they have, which no budget counts. */
#ifndef OPS_HEAP_SORT_H
#define OPS_HEAP_SORT_H

#include <stddef.h>

/* Of qsort; the order of items that compare as equal is not kept. An item has at most 64 bytes. */
void heap_sort(void *items, size_t count, size_t size, int (*compare)(const void *left, const void *right));

#endif
