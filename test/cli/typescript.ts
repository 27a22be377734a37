/** Checks and runs TypeScript that was made by a test, against the sources of this project. */
import { join } from 'node:path';
import ts from 'typescript';
import { PROJECT_DIR } from '../support/processes.ts';

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: ['node'],
  typeRoots: [join(PROJECT_DIR, 'node_modules/@types')],
  strict: true,
  noUncheckedIndexedAccess: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  noImplicitReturns: true,
  noImplicitOverride: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  allowImportingTsExtensions: true,
  experimentalDecorators: true,
  skipLibCheck: true,
  noEmit: true,
  paths: {
    'co2-relay': [join(PROJECT_DIR, 'src/plugin/plugin.ts')],
    'co2-relay/client': [join(PROJECT_DIR, 'src/client/client.ts')],
    'co2-relay/config': [join(PROJECT_DIR, 'src/config/define-config.ts')],
    'co2-relay/relay': [join(PROJECT_DIR, 'src/create-relay.ts')],
    'co2-relay/testing': [join(PROJECT_DIR, 'src/testing/testing.ts')],
  },
};

/** A host for the compiler that parses each file of this project once, for all programs of a test. */
export function sharingHost(options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  return {
    ...host,
    getSourceFile: (name, languageVersion, ...rest) => {
      const read = (): ts.SourceFile | undefined => host.getSourceFile(name, languageVersion, ...rest);
      if (!name.startsWith(PROJECT_DIR)) return read();
      // The format of a module (CommonJS or ES module) is part of what is parsed.
      const key = `${name} ${JSON.stringify(languageVersion)}`;
      const parsed = PARSED.get(key) ?? read();
      if (parsed) PARSED.set(key, parsed);
      return parsed;
    },
  };
}

const PARSED = new Map<string, ts.SourceFile>();

/** What the compiler has to say of these files under its strict rules. */
export function compilerErrors(files: readonly string[]): readonly string[] {
  const program = ts.createProgram({ rootNames: files, options: OPTIONS, host: sharingHost(OPTIONS) });
  const found = files.flatMap((file) => {
    const source = program.getSourceFile(file);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  });
  return [...program.getOptionsDiagnostics(), ...found].map(
    ({ file, start = 0, messageText }) =>
      `${file === undefined ? '' : `line ${file.getLineAndCharacterOfPosition(start).line + 1}: `}${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
  );
}

/** Each top-level statement in a word or two, `name` where it has one; throws if the text is no TypeScript. */
export function statementsOf(text: string): readonly string[] {
  const source = ts.createSourceFile('made.ts', text, ts.ScriptTarget.ES2022, true);
  const { diagnostics = [] } = ts.transpileModule(text, { reportDiagnostics: true, compilerOptions: { target: ts.ScriptTarget.ES2022 } });
  const [first] = diagnostics;
  if (first) throw new Error(ts.flattenDiagnosticMessageText(first.messageText, ' '));
  return source.statements.map((statement) => {
    if (ts.isImportDeclaration(statement)) return `import ${statement.moduleSpecifier.getText()}`;
    if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) return `type ${statement.name.text}`;
    if (ts.isFunctionDeclaration(statement)) return `function ${statement.name?.text ?? ''}`;
    if (ts.isVariableStatement(statement)) return `const ${statement.declarationList.declarations.map((one) => one.name.getText()).join()}`;
    return ts.SyntaxKind[statement.kind];
  });
}

/** The source as a script without its imports; what it exports it puts on `exports`. */
export function asScript(text: string): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS };
  return ts.transpileModule(text, { compilerOptions }).outputText;
}
