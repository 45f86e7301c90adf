/*
 * Finding a key's index among keys that are fixed when a model is loaded: labels, categories, vocabularies.
 *
 * Keys are strings, or words of 64 bits (integers, or the bits of floats). A table is made once, in the region of a
 * graph, and never changes: any number of threads may ask it. The keys are borrowed for as long as the table is used.
 */
#ifndef OPS_KEY_TABLE_H
#define OPS_KEY_TABLE_H

#include "engine/base/memory.h"
#include "engine/base/status.h"

/* Which of several equal keys is found. */
typedef enum key_order { KEY_FIRST, KEY_LAST } key_order;

typedef struct key_slot {
  uint32_t tag;   /* high bits of the key's hash */
  uint32_t index; /* of the key, plus 1; 0: empty */
} key_slot;

typedef struct key_table {
  size_t count;                /* of keys */
  const norma_string *strings; /* one of the two, or neither where there is no key */
  const uint64_t *words;
  size_t mask; /* of slots, a power of two less 1 */
  key_slot *slots;
  bool has_equal; /* some keys are equal */
} key_table;

/* Errors: OUT_OF_MEMORY, BUDGET. */
norma_status key_table_of_strings(key_table *table, region *region, const norma_string *keys, size_t count,
                                  key_order order, norma_error *error);
norma_status key_table_of_words(key_table *table, region *region, const uint64_t *keys, size_t count, key_order order,
                                norma_error *error);

/* The index of the key, or -1. */
int64_t key_table_find_string(const key_table *table, const char *data, size_t size);
int64_t key_table_find_word(const key_table *table, uint64_t word);

/* The hash of a string that the tables use; for tables of other things that hold strings. */
uint64_t key_hash_string(const char *data, size_t size);
/* Mixes two words into one. */
uint64_t key_hash_words(uint64_t a, uint64_t b);

#endif
