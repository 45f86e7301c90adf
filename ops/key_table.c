#include "ops/key_table.h"

#include <string.h>

uint64_t key_hash_words(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 key_hash_wide;
  const key_hash_wide product = (key_hash_wide)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD6E8FEB86659FD93u);
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load_word(const char *data) {
  uint64_t word;
  memcpy(&word, data, sizeof word);
  return word;
}

/* Up to 8 bytes as a word, without a branch for each of them. */
static uint64_t load_short(const char *data, size_t size) {
  uint32_t first, last;
  if (size >= 4) {
    memcpy(&first, data, 4);
    memcpy(&last, data + size - 4, 4);
    return (uint64_t)first << 32 | last;
  }
  if (size == 0) return 0;
  const unsigned char *bytes = (const unsigned char *)data;
  return (uint64_t)bytes[0] << 16 | (uint64_t)bytes[size / 2] << 8 | bytes[size - 1];
}

/* Multiplied and folded, eight bytes at a time; the last eight may overlap those before. */
uint64_t key_hash_string(const char *data, size_t size) {
  uint64_t hash = size;
  if (size <= 8) return key_hash_words(hash, load_short(data, size));
  for (size_t at = 0; at + 8 < size; at += 8) hash = key_hash_words(hash ^ load_word(data + at), at);
  return key_hash_words(hash ^ load_word(data + size - 8), size);
}

static uint64_t key_hash_of(const key_table *table, size_t index) {
  if (table->words) return key_hash_words(table->words[index], 0);
  return key_hash_string(table->strings[index].data, table->strings[index].size);
}

static bool key_is_string(const norma_string *key, const char *data, size_t size) {
  if (key->size != size) return false;
  if (size <= 8) return load_short(key->data, size) == load_short(data, size);
  if (size > 16) return memcmp(key->data, data, size) == 0;
  return load_word(key->data) == load_word(data) && load_word(key->data + size - 8) == load_word(data + size - 8);
}

static bool keys_are_equal(const key_table *table, size_t a, size_t b) {
  if (table->words) return table->words[a] == table->words[b];
  return key_is_string(&table->strings[a], table->strings[b].data, table->strings[b].size);
}

static void key_table_put(key_table *table, size_t index, key_order order) {
  const uint64_t hash = key_hash_of(table, index);
  const uint32_t tag = (uint32_t)(hash >> 32);
  size_t at = (size_t)hash & table->mask;
  for (; table->slots[at].index; at = (at + 1) & table->mask) {
    if (table->slots[at].tag != tag || !keys_are_equal(table, table->slots[at].index - 1, index)) continue;
    table->has_equal = true;
    if (order == KEY_FIRST) return;
    break;
  }
  table->slots[at] = (key_slot){tag, (uint32_t)index + 1};
}

static norma_status key_table_fill(key_table *table, region *region, key_order order, norma_error *error) {
  size_t slots = 8;
  if (table->count >= UINT32_MAX) return error_set(error, NORMA_ERROR_BUDGET, "%zu keys are too many", table->count);
  while (slots < 2 * table->count) slots *= 2;
  table->slots = region_array(region, slots, sizeof *table->slots);
  if (!table->slots) return region_error(region, error);
  table->mask = slots - 1;
  for (size_t i = 0; i < table->count; i++) key_table_put(table, i, order);
  return NORMA_OK;
}

norma_status key_table_of_strings(key_table *table, region *region, const norma_string *keys, size_t count,
                                  key_order order, norma_error *error) {
  *table = (key_table){.count = count, .strings = keys};
  return key_table_fill(table, region, order, error);
}

norma_status key_table_of_words(key_table *table, region *region, const uint64_t *keys, size_t count, key_order order,
                                norma_error *error) {
  *table = (key_table){.count = count, .words = keys};
  return key_table_fill(table, region, order, error);
}

int64_t key_table_find_string(const key_table *table, const char *data, size_t size) {
  const uint64_t hash = key_hash_string(data, size);
  const uint32_t tag = (uint32_t)(hash >> 32);
  for (size_t at = (size_t)hash & table->mask; table->slots[at].index; at = (at + 1) & table->mask) {
    const key_slot *slot = &table->slots[at];
    if (slot->tag == tag && key_is_string(&table->strings[slot->index - 1], data, size)) return slot->index - 1;
  }
  return -1;
}

int64_t key_table_find_word(const key_table *table, uint64_t word) {
  const uint64_t hash = key_hash_words(word, 0);
  for (size_t at = (size_t)hash & table->mask; table->slots[at].index; at = (at + 1) & table->mask) {
    if (table->words[table->slots[at].index - 1] == word) return table->slots[at].index - 1;
  }
  return -1;
}
