/*
 * What an operator tells the optimiser about itself.
 *
 * Passes ask these facts instead of looking for names, so a new operator takes part by what its descriptor says. Every
 * fact may be left out (NULL, 0): then nothing is known. Functions are pure; they may be asked at any time after the
 * node's attributes were read, and whatever is unknown then (ranks, dimensions) makes them answer false.
 */
#ifndef OPS_FACTS_H
#define OPS_FACTS_H

#include "engine/graph/graph.h"

/* ------------------------------------------------------------------------------------------------- elements, shapes */

typedef enum elementwise_kind {
  ELEMENTWISE_UNARY,  /* f(x), f being an activation; further inputs are constants that it holds */
  ELEMENTWISE_BINARY, /* f(..f(f(x0, x1), x2).., xn), f being a binary kind */
  ELEMENTWISE_PRELU,  /* x0 < 0 ? x0 * x1 : x0 */
  ELEMENTWISE_OTHER   /* of x0, x1 ..: a function that the kernel table does not have */
} elementwise_kind;

/* y[i] is a function of the elements at i of the inputs, which are broadcast to a common shape. */
typedef struct elementwise_form {
  elementwise_kind kind;
  struct activation unary;
  enum binary_kind binary;
  bool numpy; /* by NumPy's rule; false: by that of early opsets (attributes axis and broadcast) */
} elementwise_form;

/* A dimension of an output is floor((size + offset) / stride) of dimension `axis` of an input, in every run. */
typedef struct dimension_source {
  int input, axis;
  int64_t offset, stride;
} dimension_source;

/* --------------------------------------------------------------------------------------------------- linear algebra */

/* Output 0 is x * scale[c] + shift[c], c counting along one axis of x: inference of BatchNormalization, Mul, Div, Add
 * and Sub with a constant. Scale and shift are read from constants by `at`. */
typedef struct affine_form {
  int input;     /* x */
  int axis;      /* of x; -1 where count is 1: then scale and shift are the same everywhere */
  int64_t count; /* elements of scale and shift */
  void (*at)(const struct affine_form *form, int64_t c, double *scale, double *shift);
  const norma_tensor *vectors[4]; /* of `at` */
  double number;
  int kind;
} affine_form;

/* An attribute that a node must have for its bias to be added as it is; `until` as in operator_attribute. */
typedef struct bias_setting {
  const char *name; /* NULL ends the list */
  attribute_kind kind;
  double value;
  int until;
} bias_setting;

/* Output 0 is linear in input 0: weights times it, plus a bias per output channel. The weights lie as groups x first x
 * second x inner; of first and second, one counts output channels and the other input channels. */
typedef struct linear_form {
  int weights, bias; /* inputs; a bias may be absent */
  int64_t groups, first, second, inner;
  bool output_first;            /* `first` counts outputs */
  bool is_window;               /* a convolution, not a matrix product */
  bool has_borders;             /* some outputs see padding, or do not see all weights */
  int input_axis, output_axis;  /* channels of input 0 and of output 0 */
  double alpha, beta;           /* alpha * weights, beta * bias */
  bool takes_bias;              /* one per output channel, in every row */
  bool repeats_bias;            /* a bias of one element is repeated */
  const char *biased;           /* the operator of ai.onnx that takes the same inputs and a bias; NULL: this one */
  const bias_setting *settings; /* NULL: none */
} linear_form;

/* Normalization by statistics that are among the inputs. */
typedef struct statistics_form {
  int scale, bias, mean, variance; /* inputs; one element for each channel */
  double epsilon, momentum;
  bool trains; /* normalises by its batch, and updates the statistics */
} statistics_form;

/* How a node that computes one thing in training and another in inference is told which. */
typedef struct training_form {
  bool trains;
  bool is_known;         /* false: an input that is no constant says it, and `trains` is false */
  const char *attribute; /* the attribute that says it; NULL: none */
  int64_t inference;     /* its value for inference, 0 or 1; the other one is for training */
  bool is_default;       /* that value is the default, so that the attribute may be absent */
  int outputs;    /* the node trains where it has so many outputs; those behind the first exist in training only */
  int mode_input; /* the input that says it, with none behind it; 0: none */
} training_form;

/* --------------------------------------------------------------------------------------------------- channel blocks */

/* How an input of the form in channel blocks comes to it. */
typedef enum block_use {
  BLOCK_KEEP,   /* as it is: weights, numbers */
  BLOCK_FOLLOW, /* in blocks, which exist already */
  BLOCK_MAKE,   /* in blocks, made where they do not exist; constants when the model is loaded */
  BLOCK_OPERAND /* of a function of elements: in blocks, or one channel in all lanes, or a constant that is broadcast */
} block_use;

typedef struct block_attribute {
  const char *name;
  attribute_kind kind; /* INT or INTS */
  int64_t i;
  int64_t *ints; /* from the form's region */
  size_t count;
} block_attribute;

/* A list of integers that the form takes as an input. */
typedef struct block_list {
  int input;
  const char *stem; /* of its name */
  int count;
  int64_t values[2 * NORMA_MAX_RANK];
} block_list;

#define BLOCK_MOST_USES       5
#define BLOCK_MOST_ATTRIBUTES 8
#define BLOCK_MOST_LISTS      4

/* What the node becomes in channel blocks (ops/blocked.h): an inner operator, or itself on five dimensions. A residual
 * is always made blocks. Questions about blocks of values stand in ops/blocked.h. */
typedef struct block_form {
  /* Given: */
  int64_t block;           /* channels of a block, for the element type */
  const size_t *blocks_of; /* and for each other one; 0: it has none */
  norma_element_type type;
  region *region; /* for lists; the model's */
  /* To be set; all zero before: */
  const char *inner;               /* name of the inner operator; NULL: this one */
  int64_t opset;                   /* at least this one from now on, where inner is NULL */
  block_use uses[BLOCK_MOST_USES]; /* by input; the last stands for all that follow */
  int kept_inputs;                 /* further ones are left out; 0: all are kept */
  bool plain_output;               /* output 0 stays in the plain layout */
  bool drops_attributes;           /* all but `kept_attribute` */
  const char *kept_attribute;
  block_attribute attributes[BLOCK_MOST_ATTRIBUTES]; /* added, or changed */
  int attribute_count;
  block_list lists[BLOCK_MOST_LISTS];
  int list_count;
  int number_input; /* a number of the node's type that becomes an input; 0: none */
  float number;
} block_form;

/* ------------------------------------------------------------------------------------------------------------ facts */

/* Element types for which the operator's kernels take over what follows, as they store their results. */
typedef struct store_fusion {
  type_mask bias;       /* one element for each element of the last axis of output 0 */
  type_mask residual;   /* a tensor of the shape of output 0 */
  type_mask activation; /* any unary kind */
} store_fusion;

typedef struct operator_facts {
  /* Output 0 is input 0, whatever the other inputs: the node does nothing. */
  bool (*is_identity)(const node *node);
  bool (*elementwise)(const node *node, elementwise_form *form);
  bool (*dimension)(const node *node, int output, int axis, dimension_source *source);
  bool (*affine)(const node *node, affine_form *form);
  bool (*linear)(const node *node, linear_form *form);
  bool (*statistics)(const node *node, statistics_form *form);
  /* May be asked before attributes were read, too. */
  bool (*training)(const node *node, training_form *form);
  /* Output 0 is what attributes say, seen in their memory. */
  bool (*constant)(const node *node, norma_tensor *held);
  bool (*block)(const node *node, block_form *form);
  type_mask block_types; /* element types of input 0 that `block` is for */
  uint32_t packs;        /* inputs that prepare packs once per model where they are constant */
  uint32_t packs_alone;  /* of these: inputs whose packed form and bytes do not depend on the sizes of others */
  uint32_t weights;      /* of these: inputs that prepare alone reads, by prepare_read */
  int bias;              /* the input that is added to each output channel; 0: none */
  store_fusion store;
} operator_facts;

/* ------------------------------------------------------------------------------------------ facts of many operators */

/* is_identity where output 0 has the shape of input 0, both known: for operators that keep the order of elements. */
bool fact_keeps_shape(const node *node);
/* is_identity of variadic operators that have one input. */
bool fact_has_one_input(const node *node);
/* A tensor that is known when the model is loaded: a constant, or what the attributes of its producer say. */
bool fact_held(const graph_value *value, norma_tensor *held);
/* Every dimension of output 0 is that of input 0. */
bool fact_dimension_same(const node *node, int output, int axis, dimension_source *source);
/* Dimension 0 of output 0 is that of input 0 (a batch). */
bool fact_dimension_batch(const node *node, int output, int axis, dimension_source *source);

#endif
