#include "engine/execute/packed_constants.h"

#include "engine/base/lock.h"
#include "ops/operator.h"

#define FIRST_BUCKETS 64 /* a power of two; the table grows with what it holds */

typedef struct packed_constant {
  const node *node;
  uint64_t key;
  const void *data; /* NULL while it is being filled */
  void *owned;      /* the same; NULL: lent */
  size_t bytes;
  struct packed_constant *next;
} packed_constant;

struct packed_constants {
  memory *memory;
  lock_mutex lock;
  lock_condition changed; /* an entry was filled, or given up */
  packed_constant **buckets;
  size_t bucket_count, count, bytes;
};

packed_constants *packed_constants_create(memory *memory) {
  packed_constants *created = memory_allocate_zeroed(memory, sizeof *created);
  if (!created) return NULL;
  created->memory = memory;
  created->bucket_count = FIRST_BUCKETS;
  created->buckets = memory_allocate_zeroed(memory, FIRST_BUCKETS * sizeof(packed_constant *));
  if (!created->buckets) {
    memory_free(memory, created);
    return NULL;
  }
  lock_init(&created->lock);
  lock_condition_init(&created->changed);
  return created;
}

void packed_constants_destroy(packed_constants *constants) {
  if (!constants) return;
  for (size_t i = 0; i < constants->bucket_count; i++) {
    while (constants->buckets[i]) {
      packed_constant *entry = constants->buckets[i];
      constants->buckets[i] = entry->next;
      memory_free(constants->memory, entry->owned);
      memory_free(constants->memory, entry);
    }
  }
  lock_condition_destroy(&constants->changed);
  lock_destroy(&constants->lock);
  memory_free(constants->memory, constants->buckets);
  memory_free(constants->memory, constants);
}

size_t packed_constants_bytes(packed_constants *constants) {
  lock_take(&constants->lock);
  size_t bytes = constants->bytes;
  lock_give(&constants->lock);
  return bytes;
}

/* ---------------------------------------------------------------------------------------- the table, under its lock */

static packed_constant **packed_bucket(packed_constant **buckets, size_t count, const node *node, uint64_t key) {
  uint64_t hash = ((uint64_t)(uintptr_t)node / sizeof(void *) ^ key) * 0x9E3779B97F4A7C15u; /* Fibonacci hashing */
  return &buckets[(hash >> 32) & (count - 1)];
}

/* The place that holds the entry, or the end of its list. */
static packed_constant **packed_find(const packed_constants *constants, const node *node, uint64_t key) {
  packed_constant **link = packed_bucket(constants->buckets, constants->bucket_count, node, key);
  while (*link && ((*link)->node != node || (*link)->key != key)) link = &(*link)->next;
  return link;
}

/* Without memory for it the table stays as it is. */
static void packed_grow(packed_constants *constants) {
  size_t count = constants->bucket_count * 2;
  packed_constant **grown = memory_allocate_zeroed(constants->memory, count * sizeof *grown);
  if (!grown) return;
  for (size_t i = 0; i < constants->bucket_count; i++) {
    for (packed_constant *entry = constants->buckets[i], *next; entry; entry = next) {
      next = entry->next;
      packed_constant **bucket = packed_bucket(grown, count, entry->node, entry->key);
      entry->next = *bucket;
      *bucket = entry;
    }
  }
  memory_free(constants->memory, constants->buckets);
  constants->buckets = grown;
  constants->bucket_count = count;
}

static packed_constant *packed_add(packed_constants *constants, const node *node, uint64_t key) {
  packed_constant *entry = memory_allocate(constants->memory, sizeof *entry);
  if (!entry) return NULL;
  if (constants->count >= constants->bucket_count) packed_grow(constants);
  packed_constant **bucket = packed_bucket(constants->buckets, constants->bucket_count, node, key);
  *entry = (packed_constant){.node = node, .key = key, .next = *bucket};
  *bucket = entry;
  constants->count++;
  return entry;
}

static void packed_give_up(packed_constants *constants, packed_constant *entry) {
  packed_constant **link = packed_find(constants, entry->node, entry->key);
  *link = entry->next;
  constants->count--;
  memory_free(constants->memory, entry);
}

bool packed_constants_lend(packed_constants *constants, const node *node, uint64_t key, const void *data) {
  lock_take(&constants->lock);
  packed_constant *entry = packed_add(constants, node, key);
  if (entry) entry->data = data;
  lock_give(&constants->lock);
  return entry != NULL;
}

size_t packed_constants_need(size_t count) {
  const size_t around = 3 * MEMORY_ALIGNMENT; /* of a block, alignment and what the allocator keeps */
  size_t buckets = FIRST_BUCKETS, bytes = sizeof(packed_constants) + around;
  bytes += buckets * sizeof(packed_constant *) + around;
  while (buckets < count) { /* what the table was before it grew stays taken in a pool */
    buckets *= 2;
    bytes += buckets * sizeof(packed_constant *) + around;
  }
  return bytes + count * (sizeof(packed_constant) + around);
}

void packed_constants_visit(packed_constants *constants, const node *node, packed_visit visit, void *context) {
  for (size_t i = 0; i < constants->bucket_count; i++) {
    for (const packed_constant *entry = constants->buckets[i]; entry; entry = entry->next) {
      if (entry->node == node && entry->data) visit(context, entry->key, entry->data, entry->bytes);
    }
  }
}

/* ---------------------------------------------------------------------------------------------------------- filling */

static norma_status packed_fill(prepare_context *context, size_t bytes, prepare_fill fill, const void *argument,
                                void **data) {
  memory *memory = context->packed->memory;
  *data = memory_allocate(memory, bytes);
  if (!*data) {
    norma_status status = memory_error(memory, bytes, context->error);
    if (context->error) error_add_node(context->error, context->node);
    return status;
  }
  norma_status status = fill(context, *data, argument);
  if (status == NORMA_OK) return NORMA_OK;
  memory_free(memory, *data);
  *data = NULL;
  return status;
}

norma_status prepare_packed_from(prepare_context *context, uint64_t key, size_t bytes, prepare_fill fill,
                                 const void *argument, const void **packed) {
  packed_constants *constants = context->packed;
  lock_take(&constants->lock);
  packed_constant *entry = *packed_find(constants, context->node, key);
  while (entry && !entry->data) { /* somebody else is filling it */
    lock_wait(&constants->changed, &constants->lock);
    entry = *packed_find(constants, context->node, key);
  }
  norma_status status = NORMA_OK;
  if (!entry) {
    entry = packed_add(constants, context->node, key);
    lock_give(&constants->lock);
    if (!entry) return memory_error(constants->memory, sizeof *entry, context->error);
    void *data;
    status = packed_fill(context, bytes, fill, argument, &data);
    lock_take(&constants->lock);
    if (status == NORMA_OK) {
      entry->data = entry->owned = data;
      entry->bytes = bytes;
      constants->bytes += bytes;
    } else {
      packed_give_up(constants, entry);
    }
    lock_wake_all(&constants->changed);
  }
  *packed = status == NORMA_OK ? entry->data : NULL; /* last, since the argument may be the place of the result */
  lock_give(&constants->lock);
  return status;
}

typedef struct plain_fill {
  void (*fill)(void *destination, const void *argument);
  const void *argument;
} plain_fill;

static norma_status fill_plainly(prepare_context *context, void *destination, const void *argument) {
  const plain_fill *plain = argument;
  (void)context;
  plain->fill(destination, plain->argument);
  return NORMA_OK;
}

norma_status prepare_packed(prepare_context *context, uint64_t key, size_t bytes,
                            void (*fill)(void *destination, const void *argument), const void *argument,
                            const void **packed) {
  plain_fill plain = {fill, argument};
  return prepare_packed_from(context, key, bytes, fill_plainly, &plain, packed);
}
