#include "tests/fuzz/mutation.h"

#include "tests/support/builtin_operator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ----------------------------------------------------------------------------------------------------------- random */

uint64_t random_next(random_source *random) { /* splitmix64 */
  uint64_t z = random->state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t random_below(random_source *random, uint64_t limit) {
  return limit ? random_next(random) % limit : 0;
}

bool random_one_in(random_source *random, uint64_t count) {
  return random_below(random, count) == 0;
}

int64_t random_hostile_int(random_source *random) {
  static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1, INT32_MIN, INT32_MAX};
  switch (random_below(random, 6)) {
  case 0:
    return ends[random_below(random, sizeof ends / sizeof *ends)];
  case 1:
    return (int64_t)1 << random_below(random, 63);
  case 2:
    return -((int64_t)1 << random_below(random, 63));
  case 3:
    return ((int64_t)1 << random_below(random, 63)) - 1;
  case 4:
    return (int64_t)random_below(random, 7) - 3;
  default:
    return (int64_t)random_below(random, 300);
  }
}

double random_hostile_double(random_source *random) {
  static const double odd[] = {0, -0.0, 1, -1, 0.5, 1e30, -1e30, 1e-40, 1e300, 3e9, -3e9};
  uint64_t kind = random_below(random, 16);
  if (kind == 0) return NAN;
  if (kind == 1) return INFINITY;
  if (kind == 2) return -INFINITY;
  if (kind == 3) return (double)random_hostile_int(random);
  return odd[random_below(random, sizeof odd / sizeof *odd)];
}

/* ----------------------------------------------------------------------------------------------------------- memory */

void *mutation_take(mutation *mutation, size_t bytes) {
  mutation_block *made = calloc(1, sizeof(mutation_block) + 8 + bytes);
  if (!made) {
    fputs("mutator: out of memory\n", stderr);
    exit(2);
  }
  made->next = mutation->blocks;
  mutation->blocks = made;
  return (char *)made + 16;
}

static void *grow(mutation *mutation, const void *old, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return (void *)(uintptr_t)old;
  *capacity = *capacity ? *capacity * 2 : 64;
  void *grown = mutation_take(mutation, *capacity * size);
  if (count) memcpy(grown, old, count * size);
  return grown;
}

char *mutation_text(mutation *mutation, const char *text) {
  size_t size = strlen(text) + 1;
  return memcpy(mutation_take(mutation, size), text, size);
}

static void *unpack_allocate(void *context, size_t size) {
  return mutation_take(context, size);
}

static void unpack_free(void *context, void *pointer) { /* with all the rest */
  (void)context;
  (void)pointer;
}

/* ------------------------------------------------------------------------------------------------------------ sites */

/* A field of a message somewhere in the tree. */
typedef struct site {
  ProtobufCMessage *message;
  const ProtobufCFieldDescriptor *field;
} site;

static char *member_of(const site *site) {
  return (char *)site->message + site->field->offset;
}

static bool is_oneof(const ProtobufCFieldDescriptor *field) {
  return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

/* The flag has_..., NULL where a pointer says it. */
static protobuf_c_boolean *has_of(const site *site) {
  bool by_pointer = site->field->type == PROTOBUF_C_TYPE_STRING || site->field->type == PROTOBUF_C_TYPE_MESSAGE;
  if (by_pointer || is_oneof(site->field)) return NULL;
  return (void *)((char *)site->message + site->field->quantifier_offset);
}

static size_t *count_of(const site *site) {
  return (void *)((char *)site->message + site->field->quantifier_offset);
}

static bool is_present(const site *site) {
  const ProtobufCFieldDescriptor *field = site->field;
  if (field->label == PROTOBUF_C_LABEL_REPEATED) return *count_of(site) > 0;
  if (is_oneof(field)) {
    const uint32_t *chosen = (void *)((char *)site->message + field->quantifier_offset);
    return *chosen == field->id;
  }
  if (has_of(site)) return *has_of(site);
  return *(void **)member_of(site) != NULL;
}

static void add_name(mutation *mutation, char *name) {
  mutation->names = grow(mutation, mutation->names, mutation->name_count, &mutation->name_capacity, sizeof(char *));
  mutation->names[mutation->name_count++] = name;
}

static void collect(mutation *mutation, ProtobufCMessage *message);

static void collect_field(mutation *mutation, const site *site) {
  const ProtobufCFieldDescriptor *field = site->field;
  bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
  size_t count = repeated ? *count_of(site) : 1;
  void **items = repeated ? *(void ***)member_of(site) : (void **)member_of(site);
  for (size_t i = 0; i < count; i++) {
    if (field->type == PROTOBUF_C_TYPE_STRING) add_name(mutation, items[i]);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) collect(mutation, items[i]);
  }
}

/* How often a field counts: numbers reach operators, broken names seldom get beyond the reader. Documentation is left
 * alone. */
static int weight_of(mutation *mutation, const site *site) {
  const ProtobufCFieldDescriptor *field = site->field;
  if (strcmp(field->name, "doc_string") == 0 || strcmp(field->name, "metadata_props") == 0) return 0;
  if (!is_present(site)) return random_one_in(mutation->random, 24);
  const ProtobufCMessageDescriptor *type = site->message->descriptor;
  bool names = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
  if (names) return random_one_in(mutation->random, 6);
  bool numbers = type == &onnx__attribute_proto__descriptor || type == &onnx__tensor_proto__descriptor;
  return numbers && strcmp(field->name, "type") != 0 && strcmp(field->name, "data_type") != 0 ? 4 : 1;
}

static void collect(mutation *mutation, ProtobufCMessage *message) {
  if (message->descriptor == &onnx__node_proto__descriptor) {
    mutation->nodes = grow(mutation, mutation->nodes, mutation->node_count, &mutation->node_capacity, sizeof(void *));
    mutation->nodes[mutation->node_count++] = (void *)message;
  }
  if (message->descriptor == &onnx__tensor_proto__descriptor) {
    mutation->tensors =
        grow(mutation, mutation->tensors, mutation->tensor_count, &mutation->tensor_capacity, sizeof(void *));
    mutation->tensors[mutation->tensor_count++] = (void *)message;
  }
  for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
    site site = {message, &message->descriptor->fields[i]};
    for (int weight = weight_of(mutation, &site); weight > 0; weight--) {
      mutation->sites =
          grow(mutation, mutation->sites, mutation->site_count, &mutation->site_capacity, sizeof *mutation->sites);
      mutation->sites[mutation->site_count++] = site;
    }
    if (is_present(&site)) collect_field(mutation, &site);
  }
}

/* ---------------------------------------------------------------------------------------------------- single values */

static const operator_descriptor *random_operator(random_source *random) {
  size_t count = 0;
  while (operator_at(count)) count++;
  return operator_at(random_below(random, count));
}

static char *hostile_text(mutation *mutation, const char *old) {
  random_source *random = mutation->random;
  switch (random_below(random, 8)) {
  case 0:
    return mutation_text(mutation, "");
  case 1: {
    size_t length = random_below(random, 3000);
    char *text = mutation_take(mutation, length + 1);
    return memset(text, 'a', length);
  }
  case 2:
    return mutation_text(mutation, random_operator(random)->name);
  case 3: {
    char *text = mutation_text(mutation, old ? old : "x");
    if (text[0]) text[random_below(random, strlen(text))] ^= (char)(1 + random_below(random, 31));
    return text;
  }
  case 4:
  case 5:
    return random_text(mutation);
  default:
    return mutation->name_count ? mutation->names[random_below(random, mutation->name_count)]
                                : mutation_text(mutation, "x");
  }
}

static int64_t near_or_hostile(random_source *random, int64_t old) {
  switch (random_below(random, 5)) {
  case 0:
    return (int64_t)((uint64_t)old + 1);
  case 1:
    return (int64_t)((uint64_t)old - 1);
  case 2:
    return (int64_t)((uint64_t)old * 2);
  default:
    return random_hostile_int(random);
  }
}

static void mutate_bytes(mutation *mutation, ProtobufCBinaryData *data) {
  random_source *random = mutation->random;
  size_t room = data->len + 16 + random_below(random, 64);
  uint8_t *bytes = mutation_take(mutation, room);
  if (data->len) memcpy(bytes, data->data, data->len);
  size_t length = data->len;
  for (uint64_t changes = 1 + random_below(random, 4); changes > 0; changes--) {
    int64_t whole = random_hostile_int(random);
    float real = (float)random_hostile_double(random);
    if (length >= 8 && random_one_in(random, 2)) {
      memcpy(bytes + random_below(random, length / 8) * 8, &whole, 8);
    } else if (length >= 4 && random_one_in(random, 2)) {
      memcpy(bytes + random_below(random, length / 4) * 4, &real, 4);
    } else if (length > 0) {
      bytes[random_below(random, length)] = (uint8_t)whole;
    }
  }
  if (random_one_in(random, 6)) length = random_below(random, room);
  data->data = bytes;
  data->len = length;
}

static size_t value_size(ProtobufCType type) {
  switch (type) {
  case PROTOBUF_C_TYPE_INT32:
  case PROTOBUF_C_TYPE_SINT32:
  case PROTOBUF_C_TYPE_SFIXED32:
  case PROTOBUF_C_TYPE_UINT32:
  case PROTOBUF_C_TYPE_FIXED32:
  case PROTOBUF_C_TYPE_FLOAT:
  case PROTOBUF_C_TYPE_ENUM:
  case PROTOBUF_C_TYPE_BOOL:
    return 4;
  case PROTOBUF_C_TYPE_BYTES:
    return sizeof(ProtobufCBinaryData);
  default:
    return 8; /* 64-bit numbers, and pointers */
  }
}

/* `value` points at one value of the field's type, messages excepted. */
static void mutate_value(mutation *mutation, const ProtobufCFieldDescriptor *field, void *value) {
  random_source *random = mutation->random;
  if (field->type == PROTOBUF_C_TYPE_STRING) {
    *(char **)value = hostile_text(mutation, *(char **)value);
  } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
    mutate_bytes(mutation, value);
  } else if (field->type == PROTOBUF_C_TYPE_FLOAT) {
    *(float *)value = (float)random_hostile_double(random);
  } else if (field->type == PROTOBUF_C_TYPE_DOUBLE) {
    *(double *)value = random_hostile_double(random);
  } else if (field->type == PROTOBUF_C_TYPE_ENUM) {
    *(int *)value = random_one_in(random, 4) ? (int)random_hostile_int(random) : (int)random_below(random, 30);
  } else if (value_size(field->type) == 4) {
    *(int32_t *)value = (int32_t)near_or_hostile(random, *(int32_t *)value);
  } else {
    *(int64_t *)value = near_or_hostile(random, *(int64_t *)value);
  }
}

/* ----------------------------------------------------------------------------------------------------------- fields */

static void mutate_repeated(mutation *mutation, const site *site) {
  random_source *random = mutation->random;
  size_t size = value_size(site->field->type), count = *count_of(site);
  char *items = mutation_take(mutation, (count + 1) * size), *old = *(char **)member_of(site);
  if (count) memcpy(items, old, count * size);
  *(char **)member_of(site) = items;
  uint64_t kind = random_below(random, 8);
  size_t at = random_below(random, count), other = random_below(random, count);
  bool is_message = site->field->type == PROTOBUF_C_TYPE_MESSAGE;
  if (count > 0 && kind == 0) { /* drop one */
    memmove(items + at * size, items + (at + 1) * size, (count - at - 1) * size);
    *count_of(site) = count - 1;
  } else if (count > 0 && kind == 1) { /* double one */
    memcpy(items + count * size, items + at * size, size);
    *count_of(site) = count + 1;
  } else if (count > 1 && kind == 2) { /* one twice, in place of another */
    memcpy(items + at * size, items + other * size, size);
  } else if (kind == 3 && random_one_in(random, 4)) {
    *count_of(site) = 0;
  } else if (!is_message && (kind == 4 || count == 0)) { /* one more */
    mutate_value(mutation, site->field, items + count * size);
    *count_of(site) = count + 1;
  } else if (!is_message) {
    mutate_value(mutation, site->field, items + at * size);
  }
}

/* Drops a message, or makes it a fresh one. */
static void mutate_submessage(mutation *mutation, const site *site) {
  ProtobufCMessage **member = (void *)member_of(site);
  if (is_oneof(site->field)) {
    if (*member && is_present(site)) *(uint32_t *)(void *)((char *)site->message + site->field->quantifier_offset) = 0;
    return;
  }
  if (*member && random_one_in(mutation->random, 2)) {
    *member = NULL;
    return;
  }
  const ProtobufCMessageDescriptor *type = site->field->descriptor;
  *member = mutation_take(mutation, type->sizeof_message);
  protobuf_c_message_init(type, *member);
}

static void mutate_site(mutation *mutation, const site *site) {
  if (site->field->label == PROTOBUF_C_LABEL_REPEATED) {
    mutate_repeated(mutation, site);
  } else if (site->field->type == PROTOBUF_C_TYPE_MESSAGE) {
    mutate_submessage(mutation, site);
  } else if (is_oneof(site->field)) {
    if (is_present(site)) mutate_value(mutation, site->field, member_of(site));
  } else if (has_of(site) && *has_of(site) && random_one_in(mutation->random, 8)) {
    *has_of(site) = false;
  } else {
    if (has_of(site)) *has_of(site) = true;
    mutate_value(mutation, site->field, member_of(site));
  }
}

/* ------------------------------------------------------------------------------------------------------------ nodes */

/* A tensor of the message, changed, or an empty one. */
static Onnx__TensorProto *some_tensor(mutation *mutation) {
  Onnx__TensorProto *made = mutation_take(mutation, sizeof *made);
  onnx__tensor_proto__init(made);
  if (mutation->tensor_count) *made = *mutation->tensors[random_below(mutation->random, mutation->tensor_count)];
  mutate_tensor(mutation, made);
  return made;
}

static Onnx__AttributeProto *hostile_attribute(mutation *mutation, const operator_attribute *declared) {
  random_source *random = mutation->random;
  Onnx__AttributeProto *made = mutation_take(mutation, sizeof *made);
  onnx__attribute_proto__init(made);
  made->name = mutation_text(mutation, declared->name);
  made->has_type = true;
  made->type = (Onnx__AttributeProto__AttributeType)declared->kind;
  size_t count = random_below(random, 6);
  switch (declared->kind) {
  case ATTRIBUTE_INT:
    made->has_i = true;
    made->i = random_hostile_int(random);
    break;
  case ATTRIBUTE_FLOAT:
    made->has_f = true;
    made->f = (float)random_hostile_double(random);
    break;
  case ATTRIBUTE_STRING: {
    char *text = hostile_text(mutation, NULL);
    made->has_s = true;
    made->s = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    break;
  }
  case ATTRIBUTE_INTS:
    made->n_ints = count;
    made->ints = mutation_take(mutation, count * sizeof *made->ints);
    for (size_t i = 0; i < count; i++) made->ints[i] = random_hostile_int(random);
    break;
  case ATTRIBUTE_FLOATS:
    made->n_floats = count;
    made->floats = mutation_take(mutation, count * sizeof *made->floats);
    for (size_t i = 0; i < count; i++) made->floats[i] = (float)random_hostile_double(random);
    break;
  case ATTRIBUTE_STRINGS:
    made->n_strings = count;
    made->strings = mutation_take(mutation, count * sizeof *made->strings);
    for (size_t i = 0; i < count; i++) {
      char *text = random_text(mutation);
      made->strings[i] = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    }
    break;
  case ATTRIBUTE_TENSOR:
    made->t = some_tensor(mutation);
    break;
  default:
    break;
  }
  return made;
}

/* An attribute that the operator knows, instead of the one the node has or in addition. */
static void mutate_attribute(mutation *mutation, Onnx__NodeProto *node) {
  const operator_descriptor *op =
      builtin_operator(node->domain ? node->domain : "", node->op_type ? node->op_type : "");
  size_t count = 0;
  while (op && op->attributes && op->attributes[count].name) count++;
  if (count == 0) return;
  Onnx__AttributeProto *made = hostile_attribute(mutation, &op->attributes[random_below(mutation->random, count)]);
  Onnx__AttributeProto **attributes = mutation_take(mutation, (node->n_attribute + 1) * sizeof *attributes);
  size_t kept = 0;
  for (size_t i = 0; i < node->n_attribute; i++) {
    const char *name = node->attribute[i]->name;
    if (!name || strcmp(name, made->name) != 0) attributes[kept++] = node->attribute[i];
  }
  attributes[kept++] = made;
  node->attribute = attributes;
  node->n_attribute = kept;
}

/* The node becomes another operator, mostly without its attributes, with the inputs it has or others of the graph. */
static void mutate_operator(mutation *mutation, Onnx__NodeProto *node) {
  random_source *random = mutation->random;
  const operator_descriptor *op = random_operator(random);
  node->op_type = mutation_text(mutation, op->name);
  node->domain = mutation_text(mutation, op->domain);
  if (!random_one_in(random, 4)) node->n_attribute = 0;
  for (uint64_t more = random_below(random, 3); more > 0; more--) mutate_attribute(mutation, node);
  int wanted = op->min_inputs + (int)random_below(random, 3);
  char **inputs = mutation_take(mutation, (size_t)(wanted + 1) * sizeof *inputs);
  for (int i = 0; i < wanted; i++) {
    bool keep = (size_t)i < node->n_input && !random_one_in(random, 4);
    inputs[i] = keep || !node->n_input ? (keep ? node->input[i] : mutation_text(mutation, ""))
                                       : node->input[random_below(random, node->n_input)];
  }
  node->input = inputs;
  node->n_input = (size_t)wanted;
}

static void mutate_node(mutation *mutation) {
  Onnx__NodeProto *node = mutation->nodes[random_below(mutation->random, mutation->node_count)];
  switch (random_below(mutation->random, 6)) {
  case 0:
    mutate_operator(mutation, node);
    break;
  case 1:
  case 2:
    mutate_attribute(mutation, node);
    break;
  default:
    mutate_tables(mutation, node);
    break;
  }
}

/* ---------------------------------------------------------------------------------------------------------- message */

static void mutate_once(mutation *mutation) {
  random_source *random = mutation->random;
  if (mutation->tensor_count && random_one_in(random, 3)) {
    mutate_tensor(mutation, mutation->tensors[random_below(random, mutation->tensor_count)]);
  } else if (mutation->node_count && random_one_in(random, 2)) {
    mutate_node(mutation);
  } else if (mutation->site_count) {
    mutate_site(mutation, &mutation->sites[random_below(random, mutation->site_count)]);
  }
}

/* The input becomes an initializer with the contents of the file. */
static bool embed_input(mutation *mutation, Onnx__GraphProto *graph, size_t index, const message_bytes *file) {
  ProtobufCAllocator allocator = {unpack_allocate, unpack_free, mutation};
  const Onnx__TypeProto *type = graph->input[index]->type;
  if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) return false;
  Onnx__TensorProto *tensor = onnx__tensor_proto__unpack(&allocator, file->size, file->data);
  if (!tensor) return false;
  tensor->name = graph->input[index]->name;
  Onnx__TensorProto **initializers = mutation_take(mutation, (graph->n_initializer + 1) * sizeof *initializers);
  if (graph->n_initializer) memcpy(initializers, graph->initializer, graph->n_initializer * sizeof *initializers);
  initializers[graph->n_initializer++] = tensor;
  graph->initializer = initializers;
  return true;
}

static void embed_inputs(mutation *mutation, Onnx__GraphProto *graph, message_bytes *files, size_t file_count) {
  size_t kept = 0;
  const uint64_t share = 1 + random_below(mutation->random, 3);
  for (size_t i = 0; i < graph->n_input; i++) {
    bool is_read = i < file_count && files[i].data && random_one_in(mutation->random, share);
    if (is_read && embed_input(mutation, graph, i, &files[i])) continue;
    if (i < file_count) {
      const message_bytes moved = files[kept];
      files[kept] = files[i];
      files[i] = moved;
    }
    graph->input[kept++] = graph->input[i];
  }
  graph->n_input = kept;
}

static void mutate_graph(mutation *mutation, Onnx__ModelProto *model, message_bytes *files, size_t file_count) {
  if (!model->graph) return;
  if (random_one_in(mutation->random, 2)) loosen_shapes(mutation, model->graph);
  if (random_one_in(mutation->random, 3)) embed_inputs(mutation, model->graph, files, file_count);
}

unsigned char *mutate_message(const ProtobufCMessageDescriptor *type, const unsigned char *bytes, size_t size,
                              random_source *random, size_t *mutant_size) {
  return mutate_model(type, bytes, size, NULL, 0, random, mutant_size);
}

unsigned char *mutate_model(const ProtobufCMessageDescriptor *type, const unsigned char *bytes, size_t size,
                            message_bytes *files, size_t file_count, random_source *random, size_t *mutant_size) {
  mutation mutation = {.random = random};
  ProtobufCAllocator allocator = {unpack_allocate, unpack_free, &mutation};
  unsigned char *packed = NULL;
  ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, size, bytes);
  if (!message) goto done;
  const bool is_model = type == &onnx__model_proto__descriptor;
  if (is_model) mutate_graph(&mutation, (Onnx__ModelProto *)(void *)message, files, file_count);
  collect(&mutation, message);
  for (uint64_t changes = (is_model ? 0 : 1) + random_below(random, 3); changes > 0; changes--) mutate_once(&mutation);
  *mutant_size = protobuf_c_message_get_packed_size(message);
  packed = malloc(*mutant_size + 1);
  if (!packed) goto done;
  protobuf_c_message_pack(message, packed);
  if (random_one_in(random, 24)) {
    for (uint64_t flips = 1 + random_below(random, 4); flips > 0 && *mutant_size > 0; flips--) {
      packed[random_below(random, *mutant_size)] ^= (unsigned char)(1u << random_below(random, 8));
    }
    if (random_one_in(random, 4)) *mutant_size = random_below(random, *mutant_size);
  }
done:
  while (mutation.blocks) {
    mutation_block *next = mutation.blocks->next;
    free(mutation.blocks);
    mutation.blocks = next;
  }
  return packed;
}
