/*
 * Norma: an inference engine for ONNX models, in C.
 *
 * This header is the whole public interface and its manual. A program loads a model, creates a session, sets inputs,
 * runs, and reads outputs:
 *
 *     norma_model *model;
 *     norma_session *session;
 *     norma_error error;
 *     if (norma_model_load("model.onnx", NULL, &model, &error) != NORMA_OK) { puts(error.message); return 1; }
 *     if (norma_session_create(model, NULL, &session, &error) != NORMA_OK) ...
 *     norma_session_set_input(session, "x", &x, &error);
 *     norma_session_run(session, &error);
 *     const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
 *     norma_session_destroy(session);
 *     norma_model_destroy(model);
 *
 * Ownership words. "borrowed until E": the library keeps the pointer and reads it until event E; the caller keeps
 * ownership. "copied": the caller may free at once. "valid until E": the library owns what it returned and may change
 * it at E. Every destroy function accepts NULL.
 *
 * Errors. Each call that can fail returns a norma_status. An optional norma_error, owned by the caller, receives the
 * details; it is written only when the call fails. The library prints nothing, ends no process and has no global state.
 *
 * Threads. A runtime and a model may be used by any number of threads at once; a session by one thread at a time.
 */
#ifndef NORMA_H
#define NORMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(NORMA_BUILD_SHARED) && defined(__GNUC__)
#define NORMA_API __attribute__((visibility("default")))
#else
#define NORMA_API
#endif

#define NORMA_VERSION_MAJOR 0
#define NORMA_VERSION_MINOR 1
#define NORMA_VERSION_PATCH 0

/* The version of the library that is linked, such as "0.1.0". A string literal. */
NORMA_API const char *norma_version(void);

/* What the build contains, one item after the other separated by "; ": kernel tables, optional libraries, and what it
 * was built without. A string literal. */
NORMA_API const char *norma_build_features(void);

/* ---------------------------------------------------------------------------------------------------- status, error */

/* X(constant, text). The order is part of the binary interface: new ones are added at the end. */
#define NORMA_STATUS_LIST(X)                                                                                           \
  X(NORMA_OK, "ok")                                                                                                    \
  X(NORMA_ERROR_ARGUMENT, "invalid argument")   /* the call itself is wrong: NULL, unknown name, wrong order */        \
  X(NORMA_ERROR_OUT_OF_MEMORY, "out of memory") /* the allocator returned NULL */                                      \
  X(NORMA_ERROR_BUDGET, "budget exceeded")      /* more bytes, nodes or depth than the runtime allows */               \
  X(NORMA_ERROR_FILE, "file error")             /* a file cannot be opened, read or written */                         \
  X(NORMA_ERROR_FORMAT, "malformed file")       /* the bytes are not an ONNX model (or tensor) */                      \
  X(NORMA_ERROR_INVALID_MODEL, "invalid model") /* an ONNX model that breaks the specification */                      \
  X(NORMA_ERROR_UNSUPPORTED, "unsupported")     /* a valid model that this build cannot run */                         \
  X(NORMA_ERROR_INPUT, "invalid input")         /* an input is missing, or has the wrong type or shape */              \
  X(NORMA_ERROR_RUN, "operator failed")         /* a value found while running makes an operator undefined */          \
  X(NORMA_ERROR_CANCELLED, "cancelled")                                                                                \
  X(NORMA_ERROR_DEADLINE, "deadline exceeded")                                                                         \
  X(NORMA_ERROR_THREAD, "thread creation failed")                                                                      \
  X(NORMA_ERROR_INTERNAL, "internal error") /* a defect of Norma: please report it */

typedef enum norma_status {
#define NORMA_STATUS_ENTRY(constant, text) constant,
  NORMA_STATUS_LIST(NORMA_STATUS_ENTRY)
#undef NORMA_STATUS_ENTRY
} norma_status;

/* "budget exceeded" for NORMA_ERROR_BUDGET and so on; a string literal, also for values that are no status. */
NORMA_API const char *norma_status_text(norma_status status);

/* What went wrong and where. Fields that do not apply are empty strings. Long names are cut. */
typedef struct norma_error {
  norma_status status;
  int64_t opset;      /* the opset version that the model imports for `domain`, 0 if no operator is concerned */
  char node[128];     /* the node's name in the model, or "#5 (Conv)" if it has none */
  char op_type[64];   /* "Conv" */
  char domain[64];    /* "ai.onnx" for the default domain */
  char value[128];    /* the value (tensor) concerned, by its name in the model */
  char message[1024]; /* one sentence for a person, naming all of the above that apply; no final newline */
} norma_error;

/* ---------------------------------------------------------------------------------------------------------- runtime */

typedef enum norma_log_level { NORMA_LOG_ERROR, NORMA_LOG_WARNING, NORMA_LOG_INFO, NORMA_LOG_DEBUG } norma_log_level;

/* The caller's memory. allocate returns memory aligned to `alignment` (a power of two up to 64), or NULL. deallocate
 * gets what allocate returned and the same size. Both are called from any thread that uses the library. */
typedef struct norma_allocator {
  void *(*allocate)(void *context, size_t size, size_t alignment);
  void (*deallocate)(void *context, void *pointer, size_t size);
  void *context;
} norma_allocator;

/* A caller's parallel-for. It must call body(argument, i, worker) once for each i in 0 .. count - 1, in any order and
 * on any threads, and return when all are done; `worker` is in 0 .. norma_runtime_options.threads - 1 and no two calls
 * that run at the same time have the same one. */
typedef void (*norma_parallel_body)(void *argument, size_t index, int worker);
typedef void (*norma_parallel_for)(void *context, size_t count, norma_parallel_body body, void *argument);

/* Called with one line at a time, without a newline; from the thread that made the call into the library. */
typedef void (*norma_log)(void *context, norma_log_level level, const char *line);

/* What the embedding program chooses once. Zero means the default everywhere: begin with
 * `norma_runtime_options options = {.struct_size = sizeof options};`. */
typedef struct norma_runtime_options {
  size_t struct_size;          /* sizeof(norma_runtime_options) */
  norma_allocator allocator;   /* default: aligned_alloc and free */
  int threads;                 /* workers including the calling thread; default: the CPUs this process may use */
  norma_parallel_for parallel; /* default: Norma's own pool of threads - 1 workers, asleep when nothing runs */
  void *parallel_context;
  norma_log log; /* default: none */
  void *log_context;
  size_t max_memory_bytes; /* budget for all memory of this runtime's models and sessions; default: the memory of
                                  the machine, so that absurd sizes end in an error, not in the system running dry */
  size_t max_nodes;        /* budget for nodes of one model, functions expanded; default 1,000,000 */
  int max_depth;           /* budget for nested subgraphs and functions; default 32 */
  const char *kernels;     /* a kernel table by name ("sse2", "avx2", "avx512", "neon"); default: the best that runs */
} norma_runtime_options;

typedef struct norma_runtime norma_runtime;

/* Creates a runtime; `options` may be NULL and is copied. The runtime must outlive its models and values. Errors: ARGUMENT
 * (an option cannot be, or the kernel table does not exist or cannot run here), OUT_OF_MEMORY, BUDGET, THREAD. */
NORMA_API norma_status norma_runtime_create(const norma_runtime_options *options, norma_runtime **runtime,
                                            norma_error *error);
NORMA_API void norma_runtime_destroy(norma_runtime *runtime);

/* Bytes that the runtime's models, sessions and values hold now, and the most they ever held. */
NORMA_API size_t norma_runtime_memory_used(const norma_runtime *runtime);
NORMA_API size_t norma_runtime_memory_peak(const norma_runtime *runtime);

/* The workers that it computes with, the calling thread included; 0 for NULL. */
NORMA_API int norma_runtime_threads(const norma_runtime *runtime);

/* The kernel table that it uses, such as "avx2"; "" for NULL. A string literal. */
NORMA_API const char *norma_runtime_kernels(const norma_runtime *runtime);

/* ----------------------------------------------------------------------------------------------------------- tensor */

/* Element types; the numbers are those of ONNX's TensorProto.DataType. X(constant, number, name, bits per element). */
#define NORMA_ELEMENT_TYPE_LIST(X)                                                                                     \
  X(NORMA_UNDEFINED, 0, "undefined", 0)                                                                                \
  X(NORMA_FLOAT, 1, "float", 32)                                                                                       \
  X(NORMA_UINT8, 2, "uint8", 8)                                                                                        \
  X(NORMA_INT8, 3, "int8", 8)                                                                                          \
  X(NORMA_UINT16, 4, "uint16", 16)                                                                                     \
  X(NORMA_INT16, 5, "int16", 16)                                                                                       \
  X(NORMA_INT32, 6, "int32", 32)                                                                                       \
  X(NORMA_INT64, 7, "int64", 64)                                                                                       \
  X(NORMA_STRING, 8, "string", 128)                                                                                    \
  X(NORMA_BOOL, 9, "bool", 8)                                                                                          \
  X(NORMA_FLOAT16, 10, "float16", 16)                                                                                  \
  X(NORMA_DOUBLE, 11, "double", 64)                                                                                    \
  X(NORMA_UINT32, 12, "uint32", 32)                                                                                    \
  X(NORMA_UINT64, 13, "uint64", 64)                                                                                    \
  X(NORMA_COMPLEX64, 14, "complex64", 64)                                                                              \
  X(NORMA_COMPLEX128, 15, "complex128", 128)                                                                           \
  X(NORMA_BFLOAT16, 16, "bfloat16", 16)                                                                                \
  X(NORMA_FLOAT8E4M3FN, 17, "float8e4m3fn", 8)                                                                         \
  X(NORMA_FLOAT8E4M3FNUZ, 18, "float8e4m3fnuz", 8)                                                                     \
  X(NORMA_FLOAT8E5M2, 19, "float8e5m2", 8)                                                                             \
  X(NORMA_FLOAT8E5M2FNUZ, 20, "float8e5m2fnuz", 8)                                                                     \
  X(NORMA_UINT4, 21, "uint4", 4)                                                                                       \
  X(NORMA_INT4, 22, "int4", 4)                                                                                         \
  X(NORMA_FLOAT4E2M1, 23, "float4e2m1", 4)                                                                             \
  X(NORMA_FLOAT8E8M0, 24, "float8e8m0", 8)                                                                             \
  X(NORMA_UINT2, 25, "uint2", 2)                                                                                       \
  X(NORMA_INT2, 26, "int2", 2)                                                                                         \
  X(NORMA_FLOAT6E2M3, 27, "float6e2m3", 6)                                                                             \
  X(NORMA_FLOAT6E3M2, 28, "float6e3m2", 6)

typedef enum norma_element_type {
#define NORMA_ELEMENT_TYPE_ENTRY(constant, number, name, bits) constant = number,
  NORMA_ELEMENT_TYPE_LIST(NORMA_ELEMENT_TYPE_ENTRY)
#undef NORMA_ELEMENT_TYPE_ENTRY
} norma_element_type;

#define NORMA_ELEMENT_TYPE_COUNT 29

/* "float16" for NORMA_FLOAT16 and so on; "undefined" for numbers that are no element type. A string literal. */
NORMA_API const char *norma_element_type_name(norma_element_type type);

/* The element type of that name; NORMA_UNDEFINED if there is none. */
NORMA_API norma_element_type norma_element_type_find(const char *name);

/* Bits per element, as in the list above; 0 for numbers that are no element type. */
NORMA_API int norma_element_type_bits(norma_element_type type);

/* What kind of thing an element is, whatever its size: float8e4m3fn is a FLOAT, int4 SIGNED. */
typedef enum norma_element_class {
  NORMA_CLASS_NONE, /* of NORMA_UNDEFINED and of numbers that are no element type */
  NORMA_CLASS_BOOL,
  NORMA_CLASS_SIGNED,
  NORMA_CLASS_UNSIGNED,
  NORMA_CLASS_FLOAT,
  NORMA_CLASS_COMPLEX,
  NORMA_CLASS_STRING
} norma_element_class;

NORMA_API norma_element_class norma_element_type_class(norma_element_type type);

/* One element of a string tensor: UTF-8 bytes, not terminated; NULL only where size is 0. */
typedef struct norma_string {
  const char *data;
  size_t size;
} norma_string;

#define NORMA_MAX_RANK 16 /* tensors of a higher rank are refused at load */

/*
 * A dense row-major tensor: a view, it owns nothing. Bool is one byte per element (0 or 1). Types below 8 bits are
 * packed as ONNX packs them in raw data: the first element in the lowest bits, bytes = ceil(elements * bits / 8).
 * String tensors hold norma_string elements. Complex elements are pairs (real, imaginary).
 */
typedef struct norma_tensor {
  norma_element_type type;
  int rank;                     /* 0 for a scalar */
  int64_t dims[NORMA_MAX_RANK]; /* the first `rank` count; zero is a valid size */
  void *data;                   /* may be NULL when the tensor has no elements; aligned to its element at least */
  size_t size_bytes;            /* as norma_tensor_size gives it */
} norma_tensor;

/* The bytes that a tensor of this type and shape takes. Errors: NORMA_ERROR_ARGUMENT for a rank outside 0 to
 * NORMA_MAX_RANK, a negative size, an element type that does not exist, or a product over SIZE_MAX / 2. */
NORMA_API norma_status norma_tensor_size(norma_element_type type, int rank, const int64_t *dims, size_t *bytes);

/* Fills *tensor with a view of `data`; nothing is copied. Errors as norma_tensor_size. */
NORMA_API norma_status norma_tensor_init(norma_tensor *tensor, norma_element_type type, int rank, const int64_t *dims,
                                         void *data);

/* The number of elements, 1 for a scalar. */
NORMA_API int64_t norma_tensor_count(const norma_tensor *tensor);

/*
 * Elements first .. first + count - 1 of a tensor of numbers or bool, whatever its type, as doubles or as 64-bit integers,
 * and back: half floats, bfloat16 and packed types need no code of the caller's.
 *
 *   get_doubles     64-bit integers may lose low bits
 *   set_doubles     rounds to the nearest value of the type, ties to even (floats of 8 bits and less end at the ends of
 *                   their range); to integers cuts off the fraction and ends at the ends of the range, NaN becomes 0
 *   get_integers    cuts off fractions and ends at the ends of int64; uint64 gives its bits
 *   set_integers    keeps the low bits of integer types; to floats rounds
 *
 * Errors: ARGUMENT for strings, for complex numbers (which may be seen as floats, two for each), for elements that are not
 * there, and for a tensor whose fields do not agree; then nothing was read or written.
 */
NORMA_API norma_status norma_tensor_get_doubles(const norma_tensor *tensor, int64_t first, int64_t count,
                                                double *result);
NORMA_API norma_status norma_tensor_set_doubles(norma_tensor *tensor, int64_t first, int64_t count,
                                                const double *numbers);
NORMA_API norma_status norma_tensor_get_integers(const norma_tensor *tensor, int64_t first, int64_t count,
                                                 int64_t *result);
NORMA_API norma_status norma_tensor_set_integers(norma_tensor *tensor, int64_t first, int64_t count,
                                                 const int64_t *numbers);

/* ------------------------------------------------------------------------------------------------------------ value */

/* What flows along the edges of a graph: a tensor, or one of ONNX's containers. */
typedef enum norma_value_kind {
  NORMA_VALUE_NONE, /* absent, or an optional without an element */
  NORMA_VALUE_TENSOR,
  NORMA_VALUE_SEQUENCE, /* elements are values of one kind */
  NORMA_VALUE_OPTIONAL, /* zero or one element */
  NORMA_VALUE_MAP       /* two elements: a tensor of keys, a tensor (or sequence) of values in the same order */
} norma_value_kind;

typedef struct norma_value norma_value;

NORMA_API norma_value_kind norma_value_get_kind(const norma_value *value);

/* The tensor of a value of kind NORMA_VALUE_TENSOR; NULL for other kinds and for NULL. Valid as long as the value. */
NORMA_API const norma_tensor *norma_value_tensor(const norma_value *value);

/* The number of elements of a sequence, optional or map; 0 for a tensor. */
NORMA_API size_t norma_value_count(const norma_value *value);

/* Element `index`, or NULL when out of range. Valid as long as the value. A map has its keys as element 0, its values as
 * element 1. */
NORMA_API const norma_value *norma_value_element(const norma_value *value, size_t index);

/*
 * Values of the caller's own. Each is made with the memory of a runtime, which must outlive it, and freed by
 * norma_value_destroy. What a value holds is counted: containers and copies share it instead of copying. A value never
 * changes its type, shape or elements' number; who has made it may write elements (norma_value_tensor()->data) until
 * others read it. Any number of threads may read a value, copy it and destroy copies of it at once.
 *
 * All constructors: on failure *value is NULL. Errors: ARGUMENT (NULL, or what cannot be such a value), OUT_OF_MEMORY,
 * BUDGET.
 */

/* A tensor whose data are copied, the characters of strings too. */
NORMA_API norma_status norma_value_create_tensor(norma_runtime *runtime, const norma_tensor *tensor,
                                                 norma_value **value, norma_error *error);

/* A tensor of this type and shape whose data are undefined (strings: all empty), to be filled in by the caller. */
NORMA_API norma_status norma_value_allocate_tensor(norma_runtime *runtime, norma_element_type type, int rank,
                                                   const int64_t *dims, norma_value **value, norma_error *error);

/* A tensor that takes over the caller's data: release(context) is called once, on any thread, when nothing needs them any
 * more; NULL where nothing is to be done. On failure it is not called, and the data stay the caller's. */
typedef void (*norma_release)(void *context);
NORMA_API norma_status norma_value_adopt_tensor(norma_runtime *runtime, const norma_tensor *tensor,
                                                norma_release release, void *context, norma_value **value,
                                                norma_error *error);

/* A view: the data are borrowed until the value is destroyed. Containers and copies made of it copy the data. */
NORMA_API norma_status norma_value_borrow_tensor(norma_runtime *runtime, const norma_tensor *tensor,
                                                 norma_value **value, norma_error *error);

/* A string tensor of this shape; strings and their characters are copied. */
NORMA_API norma_status norma_value_create_strings(norma_runtime *runtime, int rank, const int64_t *dims,
                                                  const norma_string *strings, norma_value **value, norma_error *error);

/* A sequence of `count` elements of one kind (tensors: of one element type), which stay the caller's: their contents are
 * shared, those of views copied. */
NORMA_API norma_status norma_value_create_sequence(norma_runtime *runtime, const norma_value *const *elements,
                                                   size_t count, norma_value **value, norma_error *error);

/* An optional; `element` NULL: an empty one. */
NORMA_API norma_status norma_value_create_optional(norma_runtime *runtime, const norma_value *element,
                                                   norma_value **value, norma_error *error);

/* A map: `keys` is a tensor of rank 1 of integers or strings, each once; `values` a tensor of rank 1 (of no packed type),
 * or a sequence, of as many values in the same order. */
NORMA_API norma_status norma_value_create_map(norma_runtime *runtime, const norma_value *keys,
                                              const norma_value *values, norma_value **value, norma_error *error);

/* A value of the caller's own with the contents of any other, such as an output that is to be kept beyond the next run.
 * Contents are shared where `original` owns them, when its runtime has to outlive the copy too, and copied where it is a
 * view. */
NORMA_API norma_status norma_value_copy(norma_runtime *runtime, const norma_value *original, norma_value **value,
                                        norma_error *error);

NORMA_API void norma_value_destroy(norma_value *value);

/* A value from the bytes of a TensorProto, SequenceProto, OptionalProto or MapProto, as .pb files hold them. The bytes do
 * not tell which of these they are: `kind` does. `data` is borrowed during the call. A map's values that are single
 * numbers of one type become one tensor. Errors: as above, FORMAT, INVALID_MODEL (its parts do not fit together),
 * UNSUPPORTED (external data). */
NORMA_API norma_status norma_value_read(norma_runtime *runtime, const void *data, size_t size, norma_value_kind kind,
                                        norma_value **value, norma_error *error);

/* Takes the next `count` bytes of something that is written; false ends the writing with NORMA_ERROR_FILE. */
typedef bool (*norma_write)(void *context, const void *bytes, size_t count);

/* The reverse. `name` goes into the message, may be NULL. Errors: ARGUMENT (also for kind NONE), FILE (`write` said so),
 * OUT_OF_MEMORY, BUDGET (also for more than 48 containers within each other). */
NORMA_API norma_status norma_value_write(norma_runtime *runtime, const norma_value *value, const char *name,
                                         norma_write write, void *context, norma_error *error);

/* ------------------------------------------------------------------------------------------------------------ model */

/* Supplies external data for a model that comes from memory: writes `length` bytes that stand at `offset` of the file
 * named `location` to `destination`, and returns true; false is an error. `length` 0 with destination NULL never
 * happens. */
typedef bool (*norma_read_external)(void *context, const char *location, uint64_t offset, uint64_t length,
                                    void *destination);

/* One thing that keeps a model from running; see norma_load_options.report. */
typedef struct norma_unsupported {
  const char *node; /* as norma_error.node */
  const char *op_type;
  const char *domain;
  int64_t opset;
  const char *reason; /* "operator not known", "element type bfloat16 of input 0", ... */
} norma_unsupported;

typedef void (*norma_report_unsupported)(void *context, const norma_unsupported *item);

/* How much of the graph is rewritten at load. */
typedef enum norma_optimization {
  NORMA_OPTIMIZE_DEFAULT,
  NORMA_OPTIMIZE_NONE,  /* -O 0: the graph exactly as exported */
  NORMA_OPTIMIZE_BASIC, /* -O 1: constants folded, no-ops and dead code removed */
  NORMA_OPTIMIZE_FULL   /* -O 2: operators fused as well */
} norma_optimization;

/* Begin with `norma_load_options options = {.struct_size = sizeof options};`. All strings are copied. */
typedef struct norma_load_options {
  size_t struct_size;
  norma_runtime *runtime;             /* default: one of the model's own, with default options */
  norma_optimization optimization;    /* default: NORMA_OPTIMIZE_FULL */
  const char *const *disabled_passes; /* names of passes to leave out, `disabled_pass_count` of them */
  size_t disabled_pass_count;
  const char *const *overridable; /* initializers that are graph inputs stay constant unless named here */
  size_t overridable_count;
  bool exact;                        /* only what rounds as NORMA_OPTIMIZE_NONE does; takes a third more time */
  bool keep_constants;               /* keep weights in their own form too, once a kernel has packed them */
  bool map_file;                     /* map the model file instead of reading it: only for files nobody else changes */
  norma_read_external read_external; /* external data for norma_model_load_memory; default: such models are refused */
  void *read_external_context;
  norma_report_unsupported report; /* called once for each unsupported node before the load fails */
  void *report_context;
} norma_load_options;

typedef struct norma_model norma_model;

/* Loads, checks and optimises the model in file `path`; external data is read from files beneath its folder. `options`
 * may be NULL. On failure *model is NULL. Errors: FILE, FORMAT, INVALID_MODEL, UNSUPPORTED, BUDGET, OUT_OF_MEMORY. */
NORMA_API norma_status norma_model_load(const char *path, const norma_load_options *options, norma_model **model,
                                        norma_error *error);

/* The same from `size` bytes in memory, which are copied where needed. */
NORMA_API norma_status norma_model_load_memory(const void *data, size_t size, const norma_load_options *options,
                                               norma_model **model, norma_error *error);

/* Frees the model. Its sessions must be gone before. */
NORMA_API void norma_model_destroy(norma_model *model);

/* An input or output of a model. Pointers are valid until the model is destroyed. */
typedef struct norma_value_info {
  const char *name;
  norma_value_kind kind;
  norma_element_type type;               /* of the tensor; for a sequence or optional of tensors, of their elements */
  int rank;                              /* -1: unknown */
  int64_t dims[NORMA_MAX_RANK];          /* -1: dynamic */
  const char *dim_names[NORMA_MAX_RANK]; /* symbolic names such as "batch", or NULL */
  bool optional;                         /* an input that may be left out: it has an initializer */
} norma_value_info;

/* Inputs that a run needs, without constant initializers, in the order of the graph; then outputs. An index out of
 * range gives NORMA_ERROR_ARGUMENT. */
NORMA_API size_t norma_model_input_count(const norma_model *model);
NORMA_API size_t norma_model_output_count(const norma_model *model);
NORMA_API norma_status norma_model_input(const norma_model *model, size_t index, norma_value_info *info);
NORMA_API norma_status norma_model_output(const norma_model *model, size_t index, norma_value_info *info);

/* ---------------------------------------------------------------------------------------------------------- session */

/* Called during a run, on its thread, each time a step has ended: `done` of `total` steps. */
typedef void (*norma_progress)(void *context, size_t done, size_t total);

/* Begin with `norma_session_options options = {.struct_size = sizeof options};`. */
typedef struct norma_session_options {
  size_t struct_size;
  void *arena;        /* memory for intermediate results, aligned to 64, borrowed until the session is destroyed; */
  size_t arena_bytes; /* a run that needs more ends with NORMA_ERROR_BUDGET. Default: the runtime's allocator */
  int max_plans;      /* plans kept for different input shapes; default 4 */
  bool profile;       /* measure every node of every run */
  norma_progress progress; /* default: none */
  void *progress_context;
} norma_session_options;

typedef struct norma_session norma_session;

/* Creates a session on `model`, which must outlive it. Where the model's inputs fix all shapes, the plan is made
 * here. */
NORMA_API norma_status norma_session_create(norma_model *model, const norma_session_options *options,
                                            norma_session **session, norma_error *error);
NORMA_API void norma_session_destroy(norma_session *session);

/* Binds input `name` (NULL: the next one that is not bound, in graph order) to a tensor. The struct is copied, the data
 * is borrowed until the input is set again or the session is destroyed; it is read by each run. Errors: ARGUMENT (no
 * such input), INPUT (type, rank or a fixed dimension differs from the model's declaration). */
NORMA_API norma_status norma_session_set_input(norma_session *session, const char *name, const norma_tensor *tensor,
                                               norma_error *error);

/* The same for a value of any kind; `value` is borrowed in the same way. */
NORMA_API norma_status norma_session_set_input_value(norma_session *session, const char *name, const norma_value *value,
                                                     norma_error *error);

/* Forgets all bound inputs. */
NORMA_API void norma_session_clear_inputs(norma_session *session);

/* Lets output `index` be written to the caller's buffer of `bytes` bytes, aligned to 64 (borrowed until bound again or
 * until the session is destroyed; NULL unbinds). A run whose output is larger ends with NORMA_ERROR_BUDGET. */
NORMA_API norma_status norma_session_bind_output(norma_session *session, size_t index, void *buffer, size_t bytes,
                                                 norma_error *error);

/* Makes the plan for the inputs that are bound, without running, so that the next run allocates nothing. */
NORMA_API norma_status norma_session_prepare(norma_session *session, norma_error *error);

/* The bytes of arena that the current plan needs; 0 before there is one. Exact where input shapes fix all shapes; else
 * a part that is known, and runs take more from the allocator. */
NORMA_API size_t norma_session_arena_bytes(const norma_session *session);

/* Whether the current plan's shapes are all fixed by the input shapes. */
NORMA_API bool norma_session_is_static(const norma_session *session);

/* Runs the model on the bound inputs. After the first run with the same input shapes nothing is allocated when
 * norma_session_is_static. On failure the session stays usable and the contents of bound buffers are unspecified.
 * Errors: INPUT, RUN, BUDGET, OUT_OF_MEMORY, CANCELLED, DEADLINE. */
NORMA_API norma_status norma_session_run(norma_session *session, norma_error *error);

/* Ends the run in progress with NORMA_ERROR_CANCELLED; may be called from any thread, and before a run (which then ends
 * at once). The request is forgotten when that run has ended. */
NORMA_API void norma_session_cancel(norma_session *session);

/* Each later run ends with NORMA_ERROR_DEADLINE when it takes longer than this; 0: no limit. */
NORMA_API void norma_session_set_timeout(norma_session *session, double seconds);

/* Output `index` of the last run, valid until the next call of run, prepare or destroy; NULL before a successful
 * run. */
NORMA_API const norma_value *norma_session_output(const norma_session *session, size_t index);

/* Keeps the value `name` readable after each run, though it is no output ("*": every value). Errors: ARGUMENT where the
 * model has no such value, or where optimisation removed it. */
NORMA_API norma_status norma_session_watch(norma_session *session, const char *name, norma_error *error);

/* A graph input, output or watched value of the last run by name; NULL if there is none. Valid as outputs are. */
NORMA_API const norma_value *norma_session_value(const norma_session *session, const char *name);

/* Calls visit for each watched value and output of the last run, in the order in which they were computed. */
typedef void (*norma_visit_value)(void *context, const char *name, const norma_value *value);
NORMA_API void norma_session_visit_values(const norma_session *session, norma_visit_value visit, void *context);

/* One step of the plan, summed over the runs since the session was created or the profile reset. */
typedef struct norma_profile_entry {
  const char *node; /* the model's own node names; joined by " + " where nodes were fused */
  const char *op_type;
  const char *kernel; /* the algorithm that was chosen, or "" */
  uint64_t runs;
  uint64_t total_ns;
  uint64_t start_ns; /* of the last run, after the start of that run */
  uint64_t last_ns;  /* duration in the last run */
  double flops;      /* floating-point operations of one run, 0 if unknown; a multiply-add counts two */
  double bytes;      /* bytes read and written in one run, each operand once */
} norma_profile_entry;

NORMA_API size_t norma_session_profile_count(const norma_session *session);
NORMA_API norma_status norma_session_profile(const norma_session *session, size_t index, norma_profile_entry *entry);
NORMA_API void norma_session_profile_reset(norma_session *session);

/* ------------------------------------------------------------------------------------------------ statistics, edits */

/* Mean and variance of each channel of any value, gathered over any number of runs: watch the value, and add it after
 * each run. All in double; the result depends on the order of the samples alone, not on threads or on how they were cut
 * into batches. One thread at a time. */
typedef struct norma_moments norma_moments;

/* `runtime` must outlive the moments; its threads are used. Errors: ARGUMENT, OUT_OF_MEMORY. */
NORMA_API norma_status norma_moments_create(norma_runtime *runtime, int64_t channels, norma_moments **moments,
                                            norma_error *error);
NORMA_API void norma_moments_destroy(norma_moments *moments);

/* Adds all elements of a tensor N x channels x ... of a float type. On failure nothing was added. Errors: ARGUMENT
 * (type or shape), RUN (an element is NaN or infinite), OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_moments_add(norma_moments *moments, const norma_tensor *tensor, norma_error *error);

/* Adds what `other`, of as many channels, has gathered; `other` stays as it is. */
NORMA_API norma_status norma_moments_merge(norma_moments *moments, const norma_moments *other, norma_error *error);

/* The elements of each channel so far (0: none, when the rest is 0), means, and variances divided by that count;
 * `channels` doubles each. */
NORMA_API norma_status norma_moments_read(const norma_moments *moments, double *count, double *mean, double *variance,
                                          norma_error *error);

/* A model file whose initializers, and contents of Constant nodes, are read and replaced by name; every other byte of
 * it stays. One thread at a time. */
typedef struct norma_editor norma_editor;

/* `runtime` must outlive the editor. Errors: FILE, FORMAT, INVALID_MODEL, BUDGET, OUT_OF_MEMORY. */
NORMA_API norma_status norma_editor_open(norma_runtime *runtime, const char *path, norma_editor **editor,
                                         norma_error *error);
NORMA_API void norma_editor_destroy(norma_editor *editor);

/* Describes a tensor and copies its data to `data`, of `bytes` bytes (NULL: only describes it). tensor->data becomes
 * `data`. Errors: ARGUMENT (no such name), BUDGET (too small a place), UNSUPPORTED (strings). */
NORMA_API norma_status norma_editor_read(norma_editor *editor, const char *name, norma_tensor *tensor, void *data,
                                         size_t bytes, norma_error *error);

/* Gives a tensor new contents of the same type and size, which are copied. Errors: ARGUMENT, UNSUPPORTED. */
NORMA_API norma_status norma_editor_replace(norma_editor *editor, const char *name, const norma_tensor *tensor,
                                            norma_error *error);

/* Writes the model to `path`, whole or not at all; not to the file that was opened. External data are copied beside it
 * where they are not there yet. Errors: FILE, ARGUMENT, OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_editor_save(const norma_editor *editor, const char *path, norma_error *error);

/* ------------------------------------------------------------------------------------------------- custom operators */

/* What a custom operator sees while types and shapes are inferred, and while it runs. Valid during the call only. */
typedef struct norma_infer_context norma_infer_context;
typedef struct norma_run_context norma_run_context;

/* An operator of the embedding program. Register it with a runtime before loading models that use it. All strings and
 * the struct are copied; functions are called from any thread that loads or runs models. */
typedef struct norma_custom_operator {
  size_t struct_size; /* sizeof(norma_custom_operator) */
  const char *domain; /* not "", "ai.onnx" or "ai.onnx.ml" */
  const char *name;
  int since_version; /* the first opset version of `domain` that it implements; at least 1 */
  int min_inputs, max_inputs;
  int min_outputs, max_outputs;
  /* Sets type and shape of each output. A shape that depends on the data of inputs is left unset. */
  norma_status (*infer)(norma_infer_context *context, void *user);
  /* Computes the outputs. An output whose shape was set is there; others are made by norma_run_allocate_output. */
  norma_status (*compute)(norma_run_context *context, void *user);
  void *user; /* passed to both functions; borrowed until the runtime is destroyed */
} norma_custom_operator;

NORMA_API norma_status norma_runtime_register(norma_runtime *runtime, const norma_custom_operator *custom,
                                              norma_error *error);

/* For `infer`. Type and dims of input `index`; rank -1 where unknown, dims -1 where dynamic; false: the input is absent
 * or no tensor. */
NORMA_API bool norma_infer_input(const norma_infer_context *context, int index, norma_element_type *type, int *rank,
                                 int64_t dims[NORMA_MAX_RANK]);
/* The value of input `index` where it is known already, else NULL. */
NORMA_API const norma_tensor *norma_infer_input_value(const norma_infer_context *context, int index);
/* Sets output `index`: rank -1 for unknown; dims[i] -1 for dynamic. */
NORMA_API norma_status norma_infer_set_output(norma_infer_context *context, int index, norma_element_type type,
                                              int rank, const int64_t *dims);
/* Attributes of the node; the default where the node has none. Strings are valid until the model is destroyed. */
NORMA_API int64_t norma_infer_attribute_int(const norma_infer_context *context, const char *name, int64_t otherwise);
NORMA_API float norma_infer_attribute_float(const norma_infer_context *context, const char *name, float otherwise);
NORMA_API const char *norma_infer_attribute_string(const norma_infer_context *context, const char *name,
                                                   const char *otherwise);

/* For `compute`: the same for a node that runs; an absent input is NULL. */
NORMA_API const norma_tensor *norma_run_input(const norma_run_context *context, int index);
NORMA_API norma_tensor *norma_run_output(norma_run_context *context, int index);
NORMA_API norma_tensor *norma_run_allocate_output(norma_run_context *context, int index, norma_element_type type,
                                                  int rank, const int64_t *dims);
NORMA_API int64_t norma_run_attribute_int(const norma_run_context *context, const char *name, int64_t otherwise);
NORMA_API float norma_run_attribute_float(const norma_run_context *context, const char *name, float otherwise);
NORMA_API const char *norma_run_attribute_string(const norma_run_context *context, const char *name,
                                                 const char *otherwise);
/* Reports failure: `return norma_run_fail(context, "index %d is out of range");` The message is completed by node
 * names. */
NORMA_API norma_status norma_run_fail(norma_run_context *context, const char *message);
/* Whether the run was cancelled or its deadline has passed: a long computation should ask and return early. */
NORMA_API bool norma_run_cancelled(const norma_run_context *context);

#ifdef __cplusplus
}
#endif

#endif
