#include "engine/base/name_table.h"

#include <string.h>

void name_table_init(name_table *table, memory *memory) {
  *table = (name_table){.memory = memory};
}

void name_table_free(name_table *table) {
  memory_free(table->memory, table->entries);
  table->entries = NULL;
  table->count = table->capacity = 0;
}

static uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 wide;
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold, eight bytes at a time. */
static uint64_t name_table_hash(const name_table *table, const char *name) {
  uint64_t hash = (uint64_t)(uintptr_t)table ^ 0x9E3779B97F4A7C15u;
  size_t length = strlen(name);
  for (size_t at = 0; at < length; at += 8) {
    uint64_t part = 0;
    memcpy(&part, name + at, length - at < 8 ? length - at : 8);
    hash = mix(hash ^ part, 0xD6E8FEB86659FD93u ^ at);
  }
  return mix(hash ^ length, 0xA0761D6478BD642Fu);
}

static name_entry *name_table_slot(const name_table *table, const char *name, uint64_t hash) {
  size_t at = (size_t)hash & (table->capacity - 1);
  while (table->entries[at].name && (table->entries[at].hash != hash || strcmp(table->entries[at].name, name) != 0)) {
    at = (at + 1) & (table->capacity - 1);
  }
  return &table->entries[at];
}

name_entry *name_table_find(const name_table *table, const char *name) {
  if (table->count == 0) return NULL;
  name_entry *entry = name_table_slot(table, name, name_table_hash(table, name));
  return entry->name ? entry : NULL;
}

static bool name_table_grow(name_table *table) {
  name_table grown = *table;
  size_t bytes;
  grown.capacity = table->capacity ? table->capacity * 2 : 16;
  if (!size_multiply(grown.capacity, sizeof(name_entry), &bytes)) return false;
  grown.entries = memory_allocate_zeroed(table->memory, bytes);
  if (!grown.entries) return false;
  for (size_t i = 0; i < table->capacity; i++) {
    const name_entry *entry = &table->entries[i];
    if (entry->name) *name_table_slot(&grown, entry->name, entry->hash) = *entry;
  }
  memory_free(table->memory, table->entries);
  *table = grown;
  return true;
}

name_entry *name_table_add(name_table *table, const char *name, bool *added) {
  if (table->count >= table->capacity / 2 && !name_table_grow(table)) return NULL;
  uint64_t hash = name_table_hash(table, name);
  name_entry *entry = name_table_slot(table, name, hash);
  *added = entry->name == NULL;
  if (*added) {
    *entry = (name_entry){.name = name, .hash = hash};
    table->count++;
  }
  return entry;
}
