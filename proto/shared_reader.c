/* Tensors and lists of models with functions, whose bodies and arguments are used again and again: each is read once
 * and shared. Keys are the addresses of messages. */
#include "proto/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct shared_tensor {
  struct shared_tensor *next;
  value contents;
} shared_tensor;

typedef struct address_text {
  char text[20];
} address_text;

static address_text shared_key_of(const void *message) {
  address_text key;
  snprintf(key.text, sizeof key.text, "%" PRIxPTR, (uintptr_t)message);
  return key;
}

/* Without functions everything is read once anyhow. */
static bool is_shared(const reader *reader) {
  return reader->functions.count > 0;
}

static norma_status add_shared(reader *reader, const void *message, void *item) {
  bool added;
  address_text key = shared_key_of(message);
  char *text = region_copy_string(reader->temporary, key.text, strlen(key.text));
  name_entry *entry = text ? name_table_add(&reader->shared, text, &added) : NULL;
  if (!entry) return reader_no_memory(reader);
  entry->item = item;
  return NORMA_OK;
}

static void *find_shared(reader *reader, const void *message) {
  const name_entry *entry = name_table_find(&reader->shared, shared_key_of(message).text);
  return entry ? entry->item : NULL;
}

/* Keeps a reference to what was read. */
static norma_status note_tensor(reader *reader, const void *message, value *contents) {
  shared_tensor *noted = region_allocate(reader->temporary, sizeof *noted);
  norma_status status = noted ? add_shared(reader, message, noted) : reader_no_memory(reader);
  if (status != NORMA_OK) {
    value_clear(contents);
    return status;
  }
  value_share(&noted->contents, contents);
  noted->next = reader->shared_tensors;
  reader->shared_tensors = noted;
  return NORMA_OK;
}

norma_status read_shared_tensor(reader *reader, const Onnx__TensorProto *proto, value *into) {
  const shared_tensor *noted = is_shared(reader) ? find_shared(reader, proto) : NULL;
  if (noted) {
    value_share(into, &noted->contents);
    return NORMA_OK;
  }
  TRY(tensor_read(&reader->tensors, proto, into, reader->error));
  return is_shared(reader) ? note_tensor(reader, proto, into) : NORMA_OK;
}

norma_status read_shared_sparse_tensor(reader *reader, const Onnx__SparseTensorProto *proto, value *into) {
  const shared_tensor *noted = is_shared(reader) ? find_shared(reader, proto) : NULL;
  if (noted) {
    value_share(into, &noted->contents);
    return NORMA_OK;
  }
  TRY(sparse_tensor_read(&reader->tensors, proto, into, reader->error));
  return is_shared(reader) ? note_tensor(reader, proto, into) : NORMA_OK;
}

const attribute *find_shared_attribute(reader *reader, const Onnx__AttributeProto *proto) {
  return is_shared(reader) ? find_shared(reader, proto) : NULL;
}

norma_status note_shared_attribute(reader *reader, const Onnx__AttributeProto *proto, const attribute *attribute) {
  if (!is_shared(reader)) return NORMA_OK;
  struct attribute *noted = region_allocate(reader->temporary, sizeof *noted);
  if (!noted) return reader_no_memory(reader);
  *noted = *attribute;
  return add_shared(reader, proto, noted);
}

void free_shared(reader *reader) {
  for (shared_tensor *tensor = reader->shared_tensors; tensor; tensor = tensor->next) value_clear(&tensor->contents);
  reader->shared_tensors = NULL;
  name_table_free(&reader->shared);
}

size_t reader_item_limit(const reader *reader) {
  size_t limit;
  return size_multiply(reader->options->max_nodes, 16, &limit) ? limit : SIZE_MAX;
}

norma_status count_items(reader *reader, size_t count) {
  const size_t limit = reader_item_limit(reader);
  if (!is_shared(reader)) return NORMA_OK;
  if (count > limit || reader->items > limit - count) {
    return error_set(reader->error, NORMA_ERROR_BUDGET, "expanded functions make the model larger than %zu nodes allow",
                     reader->options->max_nodes);
  }
  reader->items += count;
  return NORMA_OK;
}
