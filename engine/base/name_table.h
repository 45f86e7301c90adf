/* A hash table from names to pointers. The hash is seeded by the table's address, so that files cannot be made to
 * collide. One thread at a time. */
#ifndef ENGINE_BASE_NAME_TABLE_H
#define ENGINE_BASE_NAME_TABLE_H

#include "engine/base/memory.h"

typedef struct name_entry {
  const char *name; /* NULL: free */
  uint64_t hash;
  void *item;
  bool flag; /* the user's */
} name_entry;

typedef struct name_table {
  memory *memory;
  name_entry *entries;
  size_t count, capacity; /* capacity: 0 or a power of two */
} name_table;

void name_table_init(name_table *table, memory *memory);
void name_table_free(name_table *table);

/* The entry, valid until the next name_table_add; NULL if there is none. */
name_entry *name_table_find(const name_table *table, const char *name);

/* A new entry, or the one that is there (*added tells). `name` is borrowed until the table is freed. NULL: out of
 * memory. */
name_entry *name_table_add(name_table *table, const char *name, bool *added);

#endif
