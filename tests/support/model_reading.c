#include "tests/support/model_reading.h"

#include <stdio.h>
#include <stdlib.h>

static void *allocate(void *context, size_t size, size_t alignment) {
  model_reading *reading = context;
  size_t number = ++reading->allocations;
  if (reading->fail_at && (reading->fail_once ? number == reading->fail_at : number >= reading->fail_at)) return NULL;
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void deallocate(void *context, void *pointer, size_t size) {
  (void)context;
  (void)size;
  free(pointer);
}

void reading_init(model_reading *reading, size_t memory_limit) {
  memset(reading, 0, sizeof *reading);
  norma_allocator allocator = {.allocate = allocate, .deallocate = deallocate, .context = reading};
  memory_init(&reading->memory, &allocator, memory_limit);
  reading->options.max_nodes = 10000;
  reading->options.max_depth = 16;
}

static void begin(model_reading *reading) {
  memset(&reading->model, 0, sizeof reading->model);
  memset(&reading->error, 0, sizeof reading->error);
  reading->model.memory = &reading->memory;
  region_init(&reading->model.region, &reading->memory);
}

norma_status reading_read(model_reading *reading, const void *bytes, size_t size) {
  begin(reading);
  return model_read_memory(&reading->model, bytes, size, &reading->options, &reading->error);
}

norma_status reading_read_file(model_reading *reading, const char *path) {
  begin(reading);
  return model_read_file(&reading->model, path, &reading->options, &reading->error);
}

size_t reading_release(model_reading *reading) {
  graph_release(reading->model.graph);
  region_free(&reading->model.region);
  memset(&reading->model, 0, sizeof reading->model);
  return atomic_load(&reading->memory.used);
}

node *reading_node(const model_reading *reading, const char *name) {
  for (node *node = reading->model.graph->first; node; node = node->next) {
    if (strcmp(node->name, name) == 0) return node;
  }
  for (node *node = reading->model.graph->first; node; node = node->next) {
    if (strcmp(node->op_type, name) == 0) return node;
  }
  return NULL;
}

void block_add(byte_block *block, const void *bytes, size_t size) {
  if (size > sizeof block->bytes - block->size) {
    fprintf(stderr, "byte_block: full\n");
    abort();
  }
  if (size) memcpy(block->bytes + block->size, bytes, size);
  block->size += size;
}

void block_varint(byte_block *block, uint64_t value) {
  unsigned char byte;
  for (; value >= 0x80; value >>= 7) {
    byte = (unsigned char)(value | 0x80);
    block_add(block, &byte, 1);
  }
  byte = (unsigned char)value;
  block_add(block, &byte, 1);
}

void block_tag(byte_block *block, unsigned field, unsigned wire_type) {
  block_varint(block, (uint64_t)field << 3 | wire_type);
}

void block_field(byte_block *block, unsigned field, const void *bytes, size_t size) {
  block_tag(block, field, 2);
  block_varint(block, size);
  block_add(block, bytes, size);
}

void block_text(byte_block *block, unsigned field, const char *text) {
  block_field(block, field, text, strlen(text));
}

void block_int(byte_block *block, unsigned field, uint64_t number) {
  block_tag(block, field, 0);
  block_varint(block, number);
}

byte_block *block_new(void) {
  byte_block *block = malloc(sizeof *block);
  if (!block) abort();
  block->size = 0;
  return block;
}

void block_message(byte_block *block, unsigned field, byte_block *inner) {
  block_field(block, field, inner->bytes, inner->size);
  free(inner);
}
