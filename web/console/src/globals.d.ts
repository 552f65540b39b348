/** Version of the program, from the build. */
declare const __VERSION__: string;
