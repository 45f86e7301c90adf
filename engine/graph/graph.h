/*
 * The graph of a model: nodes in topological order, values between them, subgraphs below nodes.
 *
 * Everything here lives in one region and is freed with it; removing a node only unlinks it. Tensor data are held by
 * `value` references, which graph_release drops. A graph is changed by one thread, while loading; afterwards it is
 * immutable and shared.
 */
#ifndef ENGINE_GRAPH_GRAPH_H
#define ENGINE_GRAPH_GRAPH_H

#include "engine/base/activation.h"
#include "engine/base/memory.h"
#include "engine/base/tensor.h"

typedef struct graph graph;
typedef struct node node;
typedef struct graph_value graph_value;
struct operator_descriptor;

/* -------------------------------------------------------------------------------------------------------- attribute */

/* The numbers are those of ONNX's AttributeProto.AttributeType. */
typedef enum attribute_kind {
  ATTRIBUTE_NONE = 0,
  ATTRIBUTE_FLOAT = 1,
  ATTRIBUTE_INT = 2,
  ATTRIBUTE_STRING = 3,
  ATTRIBUTE_TENSOR = 4,
  ATTRIBUTE_GRAPH = 5,
  ATTRIBUTE_FLOATS = 6,
  ATTRIBUTE_INTS = 7,
  ATTRIBUTE_STRINGS = 8,
  ATTRIBUTE_TENSORS = 9,
  ATTRIBUTE_GRAPHS = 10,
  ATTRIBUTE_SPARSE_TENSOR = 11,
  ATTRIBUTE_SPARSE_TENSORS = 12,
  ATTRIBUTE_TYPE_PROTO = 13,
  ATTRIBUTE_TYPE_PROTOS = 14
} attribute_kind;

/* Arrays have `count` elements; they live in the graph's region. Sparse tensors are made dense by the reader. */
typedef struct attribute {
  const char *name;
  attribute_kind kind;
  size_t count; /* of the array kinds */
  union {
    float f;
    int64_t i;
    norma_string s; /* terminated as well */
    value *tensor;
    graph *graph;
    const float *floats;
    const int64_t *ints;
    const norma_string *strings;
    value *tensors;
    graph **graphs;
    const value_info *type;
  };
} attribute;

static inline bool attribute_holds_tensor(const attribute *attribute) {
  return attribute->kind == ATTRIBUTE_TENSOR || attribute->kind == ATTRIBUTE_SPARSE_TENSOR;
}

static inline bool attribute_holds_tensors(const attribute *attribute) {
  return attribute->kind == ATTRIBUTE_TENSORS || attribute->kind == ATTRIBUTE_SPARSE_TENSORS;
}

/* ---------------------------------------------------------------------------------------------------- values, nodes */

/* One input of one node that reads a value. */
typedef struct use {
  node *node;
  int index;
  struct use *next, *previous;
} use;

struct graph_value {
  const char *name; /* never empty; unique among the values that a node can see */
  int id;           /* index in graph->values */
  graph *graph;
  value_info info;              /* what is known; declared and inferred */
  const char *const *dim_names; /* of graph inputs and outputs: symbolic dimensions or NULL entries; may be NULL */
  node *producer;               /* NULL for graph inputs and initializers */
  int producer_index;
  use *uses; /* by nodes of this graph and of subgraphs */
  int use_count;
  int output_count;     /* how often it stands among the graph's outputs */
  bool is_input;        /* among graph->inputs */
  bool has_initializer; /* an initializer that may be overridden keeps this and has no `constant` */
  value *constant;      /* the value, where it can never change: initializer, Constant, folded */
  value *initial;       /* default of an overridable initializer */
  graph_value *blocked; /* the same contents in channel blocks, where the pass block_layout made them */
};

/* What a node does to each element it stores, after its own operator: activation(result + bias + residual). Filled in
 * by fusion passes for operators whose facts.store allows it. Inputs are given by index, 0 standing for none: input 0
 * is neither. They stand behind the inputs that the operator knows. */
typedef struct epilogue {
  int bias_input;               /* one element for each element of the last axis */
  int residual_input;           /* of the shape of output 0 */
  struct activation activation; /* kind UNARY_IDENTITY: none */
} epilogue;

struct node {
  const char *name; /* the model's, or "#5 (Conv)" when it has none; of fused nodes: all, joined by " + " */
  const char *op_type;
  const char *domain; /* "" for ai.onnx */
  const char *overload;
  int64_t opset;                        /* what the model imports for `domain` */
  int version;                          /* the since-version of the operator's definition in force */
  const struct operator_descriptor *op; /* NULL until resolved, and for unsupported operators */
  graph *graph;
  node *next, *previous;
  int input_count, output_count;
  graph_value **inputs;  /* NULL where absent */
  use *input_uses;       /* one per input */
  graph_value **outputs; /* NULL where absent */
  int attribute_count;
  attribute *attributes;
  void *state; /* op->state_size bytes, decoded attributes; const once read */
  epilogue epilogue;
  int index;      /* scratch of whoever numbers the nodes of a graph, such as proto/graph_sort.c */
  uint64_t label; /* rises along the graph's list of nodes: see node_stands_before */
};

struct graph {
  const char *name;
  region *region;
  memory *memory;
  graph *parent; /* of a subgraph */
  node *parent_node;
  int value_count, value_capacity;
  graph_value **values;   /* by id; values that are no longer used stay */
  size_t name_slot_count; /* a power of two */
  int *name_slots;        /* hash table of names: 1 + value id, 0 where empty; of values of one name the first */
  node *first, *last;
  int node_count;
  int input_count, output_count;
  graph_value **inputs;  /* as declared, initializers that are inputs too included */
  graph_value **outputs; /* may repeat a value; of a subgraph, may be a value of an outer graph */
  int64_t depth;         /* 0 for the main graph */
  int capture_count;     /* values of outer graphs that are read here or below, no constants; see graph_find_captures */
  graph_value **captures; /* each once, sorted for graph_find_capture */
};

/* ----------------------------------------------------------------------------------------------------------- making */

/* All return NULL when memory is short. Strings are copied into the region. */
graph *graph_create(region *region, memory *memory, const char *name, graph *parent, node *parent_node);
graph_value *graph_add_value(graph *graph, const char *name);
/* A value with a name that begins with `stem`, or with 255 bytes of it, and is not taken. */
graph_value *graph_add_unique_value(graph *graph, const char *stem);
/* Appends a node; inputs and outputs are all absent. attribute_count attributes are zeroed. */
node *graph_add_node(graph *graph, const char *name, const char *op_type, const char *domain, int input_count,
                     int output_count, int attribute_count);
/* The same, placed before `position` (of this graph). */
node *graph_insert_node(graph *graph, node *position, const char *name, const char *op_type, const char *domain,
                        int input_count, int output_count, int attribute_count);
/* Declares an input or output. false: out of memory. */
bool graph_add_input(graph *graph, graph_value *value);
bool graph_add_output(graph *graph, graph_value *value);

/* Makes `value` a constant. The reference of *contents is taken over: the caller must not clear it. false: out of
 * memory, when it is cleared. */
bool graph_set_constant(graph_value *target, value *contents);
/* A new constant value; as above. NULL: out of memory. */
graph_value *graph_add_constant(graph *graph, const char *stem, value *contents);

/* Changes input `index` and keeps the lists of uses right; `value` may be NULL. */
void node_set_input(node *node, int index, graph_value *value);
void node_set_output(node *node, int index, graph_value *value);
/* Gives the node `count` more absent inputs. false: out of memory. */
bool node_add_inputs(node *node, int count);

/* --------------------------------------------------------------------------------------------------------- changing */

/* Everything that reads `old` (nodes here and in subgraphs, graph outputs) reads `replacement` instead. An output keeps
 * its name: the caller makes sure that names of graph outputs do not matter or uses graph_move_output. */
void graph_replace_uses(graph_value *old, graph_value *replacement);
/* Unlinks a node whose outputs nobody uses. Its uses of inputs end; subgraphs go with it. */
void graph_remove_node(node *node);
/* Moves a node of this graph to stand before `position`. */
void graph_move_before(node *node, struct node *position);
/* Lists the captures of all graphs below this one; to be called when the graph changes no more. false: out of
 * memory. */
bool graph_find_captures(graph *graph);
/* Drops the references that constants hold, here and in subgraphs. The region stays. */
void graph_release(graph *graph);

/* -------------------------------------------------------------------------------------------------------- questions */

/* The value of that name in this graph or an outer one, NULL if there is none. */
graph_value *graph_find_value(const graph *graph, const char *name);
/* Index of `value` in graph->captures, -1 if it is none. */
int graph_find_capture(const graph *graph, const graph_value *value);
/* Whether only this one read stands between value and death: one use, no graph output. */
bool value_has_single_use(const graph_value *value);
bool graph_contains(const graph *outer, const graph *inner); /* inner is outer or below it */
/* Whether `first` stands before `second` in the list of nodes; both are of one graph. */
bool node_stands_before(const node *first, const node *second);
/* Calls visit for each graph directly below the node; stops when visit returns false. */
bool node_visit_subgraphs(const node *node, bool (*visit)(void *context, graph *subgraph), void *context);

/* The attribute of that name, NULL if the node has none. */
const attribute *node_attribute(const node *node, const char *name);
/* The attribute's value, or `otherwise` when the node has none. Kinds are checked at load against the operator's
 * list. */
int64_t attribute_int(const node *node, const char *name, int64_t otherwise);
float attribute_float(const node *node, const char *name, float otherwise);
/* Terminated; `otherwise` may be NULL. */
const char *attribute_string(const node *node, const char *name, const char *otherwise);
const int64_t *attribute_ints(const node *node, const char *name, size_t *count); /* NULL and 0 when absent */
const float *attribute_floats(const node *node, const char *name, size_t *count);
const norma_string *attribute_strings(const node *node, const char *name, size_t *count); /* each terminated */
const value *attribute_tensor(const node *node, const char *name);                        /* NULL when absent */
graph *attribute_graph(const node *node, const char *name);
/* Gives a node made by a pass an attribute, in place of one of that name. false: out of memory. */
bool node_set_attribute_int(node *node, const char *name, int64_t i);
bool node_set_attribute_float(node *node, const char *name, float f);
bool node_set_attribute_ints(node *node, const char *name, const int64_t *ints, size_t count);

/* Names node, operator, domain and opset in the error (replacing what stood) and puts "node 'x' (Conv): " in front of
 * the message. */
norma_status error_at_node(norma_error *error, norma_status status, const node *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same around an error that stands already. */
norma_status error_add_node(norma_error *error, const node *node);
const char *domain_text(const char *domain); /* "ai.onnx" for "" */

#endif
