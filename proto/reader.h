/* What the parts of the model reader share. A private header of proto/. */
#ifndef PROTO_READER_H
#define PROTO_READER_H

#include "engine/graph/model.h"
#include "engine/base/status.h"
#include "proto/model_reader.h"
#include "engine/base/name_table.h"
#include "proto/tensor_reader.h"

/* Names of operators, domains and attributes are copied per node, and functions multiply nodes. */
#define LONGEST_OPERATOR_NAME 512

/* One name means one value in a scope: a graph, or the body of a function at one call. Entries are graph_value
 * pointers, NULL for an input that the call leaves out. The flag marks outputs of a function that no node has defined
 * yet. */
typedef struct scope {
  struct scope *parent; /* NULL: no outer names can be seen */
  name_table names;
} scope;

/* A graph that is being filled. */
typedef struct builder {
  struct builder *parent;
  graph *graph;
  scope *scope;
  name_table other_names; /* of values that the model does not name: from functions, or renamed */
  bool unsorted;          /* a node reads what a later node defines */
} builder;

/* A function of the model. */
typedef struct function {
  const Onnx__FunctionProto *proto;
  const char *domain;
  opset_import *opsets;
  size_t opset_count;
  name_table attributes;       /* name -> its default (AttributeProto), NULL where there is none */
  struct expansion *expansion; /* see function_count.c */
} function;

/* An attribute that a call gives to its function: names inside it (a graph's) are those of the caller. */
typedef struct binding {
  const Onnx__AttributeProto *attribute;
  scope *scope;
  struct call *call;
} binding;

/* One call of a function that is being inlined. */
typedef struct call {
  struct call *parent;
  const function *function;
  const char *name;    /* in front of all names inside */
  name_table bindings; /* attribute -> binding, where the call gives one */
} call;

typedef struct reader {
  norma_model *model;
  const model_read_options *options;
  memory *memory;
  region *region;    /* the model's */
  region *temporary; /* freed after reading */
  tensor_source tensors;
  name_table functions; /* "domain\x1Fname\x1Foverload" -> function */
  name_table shared;    /* what bodies of functions hold, read once: see shared_reader.c */
  struct shared_tensor *shared_tensors;
  size_t nodes, items; /* items: what they consist of; see count_items */
  int depth;           /* graphs and calls that are open */
  size_t suffix;       /* of the last name that was made up */
  unsigned polls;
  norma_error *error; /* never NULL */
} reader;

/* Where names and references are looked up: a graph and, inside a function, the call. */
typedef struct context {
  builder *builder;
  scope *scope;
  call *call; /* NULL: the model itself */
} context;

/* "" for NULL and, of domains, for "ai.onnx". */
const char *text_or_empty(const char *text);
const char *domain_normalize(const char *domain);

/* CANCELLED or DEADLINE when the load has to end; for loops over small things. */
norma_status reader_poll(reader *reader);

/* The status for memory that could not be had. */
norma_status reader_no_memory(reader *reader);

/* graph_reader.c */
norma_status read_main_graph(reader *reader, const Onnx__GraphProto *proto);
/* `target` is empty and hangs below a node already; names are looked up from `scope` outwards. */
norma_status read_subgraph(reader *reader, builder *parent, scope *outer, call *call, graph *target,
                           const Onnx__GraphProto *proto);
norma_status read_nodes(reader *reader, const context *context, size_t count, Onnx__NodeProto *const *nodes);
norma_status declare_outputs(reader *reader, const context *context, size_t count, Onnx__NodeProto *const *nodes);
/* The value that `name` stands for; NULL in *value for "" and for inputs that a call leaves out. */
norma_status resolve(reader *reader, const context *context, const char *name, graph_value **value);
/* The node's name as errors and inlined names use it, "#5 (Conv)" if it has none; in the temporary region. NULL: out of
 * memory. */
const char *node_text(reader *reader, const call *call, const Onnx__NodeProto *proto, size_t index);

/* Names the node in an error that names none yet; returns the status that stands. */
norma_status reader_add_node_to_error(reader *reader, const call *call, const Onnx__NodeProto *proto, size_t index,
                                      norma_status status);

/* shared_reader.c: a function that is called often must not cost its tensors and lists once per call. */
norma_status read_shared_tensor(reader *reader, const Onnx__TensorProto *proto, value *into);
norma_status read_shared_sparse_tensor(reader *reader, const Onnx__SparseTensorProto *proto, value *into);
/* What was noted for this attribute, NULL if nothing was. */
const attribute *find_shared_attribute(reader *reader, const Onnx__AttributeProto *proto);
norma_status note_shared_attribute(reader *reader, const Onnx__AttributeProto *proto, const attribute *attribute);
void free_shared(reader *reader);
/* Counts what nodes consist of against the budget, in models with functions. */
norma_status count_items(reader *reader, size_t count);
size_t reader_item_limit(const reader *reader);

/* opset_reader.c */
norma_status read_opsets(reader *reader, size_t count, Onnx__OperatorSetIdProto *const *protos, region *region,
                         opset_import **opsets, size_t *opset_count);
int64_t find_opset(const opset_import *opsets, size_t count, const char *domain);
int64_t context_opset(const reader *reader, const call *call, const char *domain); /* 0 if not imported */

/* attribute_reader.c */
norma_status read_attributes(reader *reader, const context *context, node *node, const Onnx__NodeProto *proto);
/* The attribute that is meant: `proto` or, if that is a reference inside a call, what it stands for (found->attribute
 * is NULL where neither the call nor the function gives one). */
norma_status follow_reference(reader *reader, const context *context, const Onnx__AttributeProto *proto,
                              binding *found);

/* function_reader.c */
norma_status read_functions(reader *reader, size_t count, Onnx__FunctionProto *const *protos);
void free_functions(reader *reader);
function *find_function(reader *reader, const Onnx__NodeProto *proto, norma_status *status);
norma_status inline_call(reader *reader, const context *context, const function *function, const Onnx__NodeProto *proto,
                         size_t index);

/* function_count.c: refuses a model whose functions would expand beyond the budgets. */
norma_status check_expansion(reader *reader, const Onnx__GraphProto *graph);

/* type_reader.c */
norma_status read_type(reader *reader, const Onnx__TypeProto *proto, value_info *info);
/* Names of symbolic dimensions: NORMA_MAX_RANK entries, or NULL where the tensor has none. */
norma_status read_dim_names(reader *reader, const Onnx__TypeProto *proto, const char *const **names);

/* graph_sort.c */
norma_status graph_sort(memory *memory, graph *graph, interruption *interruption, norma_error *error);

#endif
