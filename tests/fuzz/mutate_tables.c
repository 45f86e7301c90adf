#include "tests/fuzz/mutation.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------------------------- tables */

/* The list of an attribute: its items' size, 0 where it has none. */
static size_t list_of(Onnx__AttributeProto *attribute, void ***items, size_t **count) {
  if (attribute->n_ints) {
    *items = (void **)&attribute->ints, *count = &attribute->n_ints;
    return sizeof *attribute->ints;
  }
  if (attribute->n_floats) {
    *items = (void **)&attribute->floats, *count = &attribute->n_floats;
    return sizeof *attribute->floats;
  }
  if (attribute->n_strings) {
    *items = (void **)&attribute->strings, *count = &attribute->n_strings;
    return sizeof *attribute->strings;
  }
  return 0;
}

/* A copy, with room for one more. */
static char *own_list(mutation *mutation, void **items, size_t count, size_t size) {
  char *copy = mutation_take(mutation, (count + 1) * size);
  memcpy(copy, *items, count * size);
  return *items = copy;
}

static void change_lengths(mutation *mutation, Onnx__NodeProto *node, size_t count) {
  const bool drops = random_one_in(mutation->random, 2);
  const size_t at = random_below(mutation->random, count);
  for (size_t i = 0; i < node->n_attribute; i++) {
    void **items;
    size_t *length, size = list_of(node->attribute[i], &items, &length);
    if (size == 0 || *length != count) continue;
    char *list = own_list(mutation, items, count, size);
    if (drops) {
      memmove(list + at * size, list + (at + 1) * size, (count - at - 1) * size);
    } else {
      memcpy(list + count * size, list + at * size, size);
    }
    *length = drops ? count - 1 : count + 1;
  }
}

static void change_entry(mutation *mutation, Onnx__AttributeProto *attribute) {
  random_source *random = mutation->random;
  void **items;
  size_t *length, size = list_of(attribute, &items, &length);
  char *list = own_list(mutation, items, *length, size);
  const size_t at = random_below(random, *length), other = random_below(random, *length);
  if (random_one_in(random, 3)) {
    memcpy(list + at * size, list + other * size, size);
  } else if (attribute->n_ints) {
    ((int64_t *)(void *)list)[at] = random_one_in(random, 3) ? random_hostile_int(random) : (int64_t)other;
  } else if (attribute->n_floats) {
    ((float *)(void *)list)[at] = (float)random_hostile_double(random);
  } else {
    char *text = random_text(mutation);
    ((ProtobufCBinaryData *)(void *)list)[at] = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
  }
}

void mutate_tables(mutation *mutation, Onnx__NodeProto *node) {
  random_source *random = mutation->random;
  for (int tries = 0; tries < 20 && node->n_attribute; tries++) {
    Onnx__AttributeProto *attribute = node->attribute[random_below(random, node->n_attribute)];
    void **items;
    size_t *length;
    if (attribute->has_s && random_one_in(random, 2)) {
      char *text = random_text(mutation);
      attribute->s = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
      return;
    }
    if (list_of(attribute, &items, &length) == 0) continue;
    if (random_one_in(random, 4)) {
      change_lengths(mutation, node, *length);
    } else {
      change_entry(mutation, attribute);
    }
    return;
  }
}

/* ------------------------------------------------------------------------------------------------------------- shapes */

static void loosen_value(mutation *mutation, Onnx__ValueInfoProto *value) {
  Onnx__TypeProto *type = value->type;
  if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type->shape) return;
  Onnx__TensorShapeProto *shape = type->tensor_type->shape;
  if (random_one_in(mutation->random, 2)) {
    type->tensor_type->shape = NULL;
    return;
  }
  for (size_t i = 0; i < shape->n_dim; i++) {
    if (!random_one_in(mutation->random, 3))
      shape->dim[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET;
  }
}

void loosen_shapes(mutation *mutation, Onnx__GraphProto *graph) {
  for (size_t i = 0; i < graph->n_input; i++) loosen_value(mutation, graph->input[i]);
  for (size_t i = 0; i < graph->n_output; i++) loosen_value(mutation, graph->output[i]);
}
