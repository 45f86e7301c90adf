#include "kernel_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_list.h" /* KERNEL_TABLES and KERNEL_OVERRIDES, written by cmake/Kernels.cmake */

#define TABLE_DECLARATION(name)           extern const struct kernel_table kernel_table_##name;
#define TABLE_POINTER(name)               &kernel_table_##name,
#define OVERRIDE_DECLARATION(name, table) extern const struct kernel_override kernel_override_##name##_of_##table;
#define OVERRIDE_POINTER(name, table)     &kernel_override_##name##_of_##table,

KERNEL_TABLES(TABLE_DECLARATION)
KERNEL_OVERRIDES(OVERRIDE_DECLARATION)

static const struct kernel_table *const plain_tables[] = {KERNEL_TABLES(TABLE_POINTER)};
static const struct kernel_override *const overrides[] = {KERNEL_OVERRIDES(OVERRIDE_POINTER) NULL};

enum { TABLE_COUNT = sizeof plain_tables / sizeof *plain_tables };

/* What this machine runs, written once and then only read. */
static struct {
  cpu_feature_set features;
  size_t count;
  const struct kernel_table *plain[TABLE_COUNT];
  struct kernel_table table[TABLE_COUNT]; /* the same with their overrides */
} here;
static pthread_once_t here_is_known = PTHREAD_ONCE_INIT;

static void find_out_here(void) {
  here.features = cpu_features();
  for (size_t i = 0; i < TABLE_COUNT; i++) {
    const struct kernel_table *plain = plain_tables[i];
    if (plain->features & ~here.features) continue;
    struct kernel_table *table = &here.table[here.count];
    here.plain[here.count++] = plain;
    *table = *plain;
    for (size_t j = 0; overrides[j]; j++)
      if (strcmp(overrides[j]->table, plain->name) == 0 && !(overrides[j]->features & ~here.features))
        overrides[j]->apply(table);
  }
}

const struct kernel_table *kernel_table_built_at(size_t index) {
  return index < TABLE_COUNT ? plain_tables[index] : NULL;
}

const struct kernel_table *kernel_table_at(size_t index) {
  pthread_once(&here_is_known, find_out_here);
  return index < here.count ? &here.table[index] : NULL;
}

const struct kernel_table *kernel_table_find(const char *name) {
  const char *colon = strchr(name, ':');
  const size_t length = colon ? (size_t)(colon - name) : strlen(name);
  if (colon && strcmp(colon, ":plain") != 0) return NULL;
  for (size_t i = 0; kernel_table_at(i); i++) {
    const char *here_name = here.table[i].name;
    if (strlen(here_name) == length && memcmp(here_name, name, length) == 0)
      return colon ? here.plain[i] : &here.table[i];
  }
  return NULL;
}

const struct kernel_table *kernel_table_default(void) {
  const char *wanted = getenv("NORMA_KERNELS");
  const struct kernel_table *table = wanted ? kernel_table_find(wanted) : NULL;
  pthread_once(&here_is_known, find_out_here);
  return table ? table : kernel_table_at(here.count - 1);
}

const struct kernel_override *kernel_override_at(size_t index) {
  pthread_once(&here_is_known, find_out_here);
  for (size_t j = 0; overrides[j]; j++)
    if (!(overrides[j]->features & ~here.features) && index-- == 0) return overrides[j];
  return NULL;
}
