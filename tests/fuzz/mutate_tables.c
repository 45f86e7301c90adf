#include "tests/fuzz/mutation.h"

#include <string.h>

/* ----------------------------------------------------------------------------------------------------------- tables */

/* The list of an attribute; of no items where it has none. */
typedef struct attribute_list {
  char *items;
  size_t count, size; /* items, and bytes of one */
} attribute_list;

static attribute_list list_of(const Onnx__AttributeProto *attribute) {
  if (attribute->n_ints) return (attribute_list){(char *)attribute->ints, attribute->n_ints, sizeof *attribute->ints};
  if (attribute->n_floats)
    return (attribute_list){(char *)attribute->floats, attribute->n_floats, sizeof *attribute->floats};
  return (attribute_list){(char *)attribute->strings, attribute->n_strings, sizeof *attribute->strings};
}

static void put_list(Onnx__AttributeProto *attribute, attribute_list list) {
  if (attribute->n_ints) {
    attribute->ints = (void *)list.items;
    attribute->n_ints = list.count;
  } else if (attribute->n_floats) {
    attribute->floats = (void *)list.items;
    attribute->n_floats = list.count;
  } else {
    attribute->strings = (void *)list.items;
    attribute->n_strings = list.count;
  }
}

/* A copy, with room for one more. */
static attribute_list own_list(mutation *mutation, attribute_list list) {
  char *copy = mutation_take(mutation, (list.count + 1) * list.size);
  memcpy(copy, list.items, list.count * list.size);
  list.items = copy;
  return list;
}

static void change_lengths(mutation *mutation, Onnx__NodeProto *node, size_t count) {
  const bool drops = random_one_in(mutation->random, 2);
  const size_t at = random_below(mutation->random, count);
  for (size_t i = 0; i < node->n_attribute; i++) {
    attribute_list list = list_of(node->attribute[i]);
    if (list.count != count) continue;
    list = own_list(mutation, list);
    if (drops) {
      memmove(list.items + at * list.size, list.items + (at + 1) * list.size, (count - at - 1) * list.size);
    } else {
      memcpy(list.items + count * list.size, list.items + at * list.size, list.size);
    }
    list.count = drops ? count - 1 : count + 1;
    put_list(node->attribute[i], list);
  }
}

static void change_entry(mutation *mutation, Onnx__AttributeProto *attribute) {
  random_source *random = mutation->random;
  const attribute_list list = own_list(mutation, list_of(attribute));
  const size_t at = random_below(random, list.count), other = random_below(random, list.count);
  put_list(attribute, list);
  if (random_one_in(random, 3)) {
    memcpy(list.items + at * list.size, list.items + other * list.size, list.size);
  } else if (attribute->n_ints) {
    attribute->ints[at] = random_one_in(random, 3) ? random_hostile_int(random) : (int64_t)other;
  } else if (attribute->n_floats) {
    attribute->floats[at] = (float)random_hostile_double(random);
  } else {
    char *text = random_text(mutation);
    attribute->strings[at] = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
  }
}

void mutate_tables(mutation *mutation, Onnx__NodeProto *node) {
  random_source *random = mutation->random;
  for (int tries = 0; tries < 20 && node->n_attribute; tries++) {
    Onnx__AttributeProto *attribute = node->attribute[random_below(random, node->n_attribute)];
    const attribute_list list = list_of(attribute);
    if (attribute->has_s && random_one_in(random, 2)) {
      char *text = random_text(mutation);
      attribute->s = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
      return;
    }
    if (list.count == 0) continue;
    if (random_one_in(random, 4)) {
      change_lengths(mutation, node, list.count);
    } else {
      change_entry(mutation, attribute);
    }
    return;
  }
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

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
