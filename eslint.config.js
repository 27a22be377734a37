import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** @param {number} max @returns {['error', object]} */
const lines = (max) => ['error', { max, skipBlankLines: true, skipComments: true }];

export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'web/dist/', 'test/fixtures/']),
  {
    files: ['**/*.{ts,mts,js,mjs}'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error', reportUnusedInlineConfigs: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: 'only-allowed-literals' }],
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // Of typescript-eslint 8.73: overflows its stack on the types of fastify.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // A plugin's author names the type of the configuration: `class Spam extends Plugin<SpamConfig>`.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // A function may be asynchronous because its port says so.
      '@typescript-eslint/require-await': 'off',
      complexity: ['error', { max: 20, variant: 'modified' }],
      eqeqeq: 'error',
      'max-len': ['error', { code: 1000, comments: 140, ignoreUrls: true, ignorePattern: '@(param|property|returns|type|typedef)\\b' }],
      'max-lines-per-function': lines(60),
      'no-constant-binary-expression': 'error',
      'no-console': 'error',
      'no-control-regex': 'error',
      'no-debugger': 'error',
      'no-duplicate-imports': ['error', { allowSeparateTypeImports: true }],
      'no-empty': 'error',
      'no-fallthrough': 'error',
      'no-loss-of-precision': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'exit', message: 'Only src/cli/main.ts exits the process; throw instead.' },
      ],
      'no-self-assign': 'error',
      'no-self-compare': 'error',
      'no-sparse-arrays': 'error',
      'no-unmodified-loop-condition': 'error',
      'no-unreachable': 'error',
      'no-unsafe-finally': 'error',
      'no-useless-escape': 'error',
      'no-useless-return': 'error',
      'no-var': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      'require-atomic-updates': 'off',
    },
  },
  {
    files: ['src/**'],
    rules: {
      'max-lines': lines(400),
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'xmlrpc', message: 'The reference peer is for tests; src has its own codec.' }] },
      ],
    },
  },
  // The composition root reads best as one list of parts.
  { files: ['src/app.ts'], rules: { 'max-lines-per-function': lines(100) } },
  // Each is the main file of a process.
  { files: ['src/cli/main.ts', 'src/plugin-host/children/runner.ts'], rules: { 'no-restricted-properties': 'off' } },
  { files: ['src/cli/**', 'bin/**', 'examples/**', 'bench/**', 'scripts/**'], rules: { 'no-console': 'off' } },
  {
    files: ['templates/**'],
    rules: {
      // The promises of its tests are awaited by the runner of node:test.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', name: 'test', package: 'node:test' }] },
      ],
    },
  },
  {
    files: ['test/**'],
    rules: {
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      'max-lines-per-function': lines(120),
    },
  },
);
